package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"candor/internal/rng"
)

// fileOf writes a file with one key, which has the given fields in place of the usual ones; "" leaves a field out.
func fileOf(fields ...string) string {
	usual := []string{"id", `"key-a"`, "name", `"shop"`, "roles", `["user"]`, "sha256", `"` + strings.Repeat("ab", 32) + `"`, "created", `"2026-07-01T12:00:00Z"`}
	for i := 0; i < len(fields); i += 2 {
		for j := 0; j <= len(usual); j += 2 {
			if j == len(usual) {
				usual = append(usual, fields[i], fields[i+1])
				break
			}
			if usual[j] == fields[i] {
				usual[j+1] = fields[i+1]
				break
			}
		}
	}
	var parts []string
	for i := 0; i < len(usual); i += 2 {
		if usual[i+1] != "" {
			parts = append(parts, fmt.Sprintf("%q: %s", usual[i], usual[i+1]))
		}
	}
	return "{\"version\": 1,\n\"keys\": [{\n" + strings.Join(parts, ",\n") + "}]}"
}

func TestParse(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"good", fileOf(), ""},
		{"all fields", fileOf("expires", `"2027-01-01T00:00:00Z"`, "revoked", `"2026-08-01T00:00:00Z"`, "limits", `{"requests_per_minute":1,"concurrent":2,"tokens_per_minute":3}`), ""},
		{"no keys", `{"version":1,"keys":[]}`, ""},
		{"empty", "", "unexpected end"},
		{"cut", fileOf()[:60], "line 5: unexpected end"},
		{"no JSON", "{\n\n!}", "line 3"},
		{"two values", fileOf() + "{}", "after top-level value"},
		{"a list", "[]", "must not be a array"},
		{"no version", `{"keys":[]}`, "version is 0"},
		{"another version", `{"version":2,"keys":[]}`, "version is 2"},
		{"unknown field", fileOf("admin", "true"), `line 8: unknown name "admin"`},
		{"field at the wrong place", fileOf("version", "1"), "key 1: json: unknown field"},
		{"field in other letters", fileOf("Revoked", `"2026-08-01T00:00:00Z"`), `unknown name "Revoked"`},
		{"field twice", strings.Replace(fileOf(), `"name"`, `"id": "key-b", "name"`, 1), `line 4: "id" is there twice`},
		{"null", fileOf("revoked", "null"), "line 8: null"},
		{"deep", fileOf("name", strings.Repeat("[", 1000)+strings.Repeat("]", 1000)), "lists within lists"},
		{"no ID", fileOf("id", ""), "key 1: its id"},
		{"ID with a space", fileOf("id", `"a b"`), "key 1: its id"},
		{"long ID", fileOf("id", `"`+strings.Repeat("a", 65)+`"`), "key 1: its id"},
		{"no name", fileOf("name", `""`), "key 1: its name"},
		{"name of a number", fileOf("name", "1"), "its name must not be a number"},
		{"long name", fileOf("name", `"`+strings.Repeat("é", 101)+`"`), "key 1: its name"},
		{"name with a line end", fileOf("name", `"a\nb"`), "key 1: its name"},
		{"name with a terminal's code", fileOf("name", `"a\u001b[2J"`), "key 1: its name"},
		{"name that is reordered", fileOf("name", `"a\u202eb"`), "key 1: its name"},
		{"name of half a character", fileOf("name", `"a\ud800"`), "key 1: its name"},
		{"name that is a key", fileOf("name", `"candor-aaaa"`), "keys must not be"},
		{"name with a space before", fileOf("name", `" a"`), "begin or end with a space"},
		{"no role", fileOf("roles", ""), "key 1: it has no role"},
		{"empty roles", fileOf("roles", "[]"), "key 1: it has no role"},
		{"unknown role", fileOf("roles", `["root"]`), `key 1: there is no role "root"`},
		{"role twice", fileOf("roles", `["user","user"]`), "key 1: its role user is there twice"},
		{"roles of a text", fileOf("roles", `"user"`), "key 1: its roles must be a list"},
		{"no hash", fileOf("sha256", ""), "key 1: it has no sha256"},
		{"zero hash", fileOf("sha256", `"`+strings.Repeat("0", 64)+`"`), "key 1: it has no sha256"},
		{"short hash", fileOf("sha256", `"abcd"`), "key 1: its sha256 has 4 characters"},
		{"hash of other letters", fileOf("sha256", `"`+strings.Repeat("x", 64)+`"`), "key 1: its sha256 must be hexadecimal"},
		{"not created", fileOf("created", ""), "key 1: it has no time of creation"},
		{"no time", fileOf("created", `"yesterday"`), "key 1: "},
		{"expires early", fileOf("expires", `"2026-07-01T12:00:00Z"`), "key 1: it expires before"},
		{"negative limit", fileOf("limits", `{"concurrent":-1}`), "key 1: concurrent is -1"},
		{"huge limit", fileOf("limits", `{"tokens_per_minute":1000000001}`), "key 1: tokens_per_minute is 1000000001"},
		{"limit of half", fileOf("limits", `{"concurrent":1.5}`), "key 1: its limits.concurrent must not be a number"},
		{"unknown limit", fileOf("limits", `{"requests":1}`), `unknown name "requests"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse([]byte(tc.text))
			switch {
			case tc.want == "":
				must(t, err)
			case err == nil || !strings.Contains(err.Error(), tc.want):
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	one := fileOf()
	key := one[strings.Index(one, "[")+1 : len(one)-2]
	two := func(second string) string { return strings.Replace(one, "}]}", "},"+second+"]}", 1) }
	for want, text := range map[string]string{
		"key 2: key 1 has its id too":     two(key),
		"key 2: key 1 has its sha256 too": two(strings.Replace(key, "key-a", "key-b", 1)),
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestAddAndRevoke(t *testing.T) {
	ctx, path := context.Background(), keysFile(t)
	k := named("Ada", Reviewer|Operator)
	k.Expires, k.Limits = start.Add(90*24*time.Hour), Limits{60, 4, 100_000}
	k, text := add(t, path, k)
	if len(text) != keyLen || !strings.HasPrefix(text, keyPrefix) || k.ID == "" {
		t.Errorf("key %q has ID %q", text, k.ID)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(data, []byte(text)) || bytes.Contains(data, []byte(text[len(keyPrefix):])) {
		t.Error("the file has the key itself")
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v: %v", info.Mode(), err)
	}
	other, otherText := add(t, path, named("shop", User))
	if other.ID == k.ID || otherText == text {
		t.Error("two keys are the same")
	}
	got, err := Read(path)
	must(t, err)
	if d := cmp.Diff([]Key{k, other}, got); d != "" {
		t.Errorf("the file has other keys (-made +read):\n%s", d)
	}
	revoked, err := Revoke(ctx, path, k.ID, start.Add(time.Hour))
	must(t, err)
	again, err := Revoke(ctx, path, k.ID, start.Add(2*time.Hour))
	must(t, err)
	if !revoked.Revoked.Equal(start.Add(time.Hour)) || !again.Revoked.Equal(revoked.Revoked) {
		t.Errorf("revoked at %s, then at %s", revoked.Revoked, again.Revoked)
	}
	if s := revoked.Status(start); s != "revoked" {
		t.Errorf("it is %s", s)
	}
	before, err := os.ReadFile(path)
	must(t, err)
	for name, do := range map[string]func() error{
		"unknown ID": func() error { _, err := Revoke(ctx, path, "key-none", start); return err },
		"no name":    func() error { _, _, err := Add(ctx, path, named("", User), rng.Secret); return err },
		"no role":    func() error { _, _, err := Add(ctx, path, named("x", 0), rng.Secret); return err },
		"limit": func() error {
			k := named("x", User)
			k.Limits.Concurrent = -1
			_, _, err := Add(ctx, path, k, rng.Secret)
			return err
		},
		"expired": func() error {
			k := named("x", User)
			k.Expires = start
			_, _, err := Add(ctx, path, k, rng.Secret)
			return err
		},
	} {
		if do() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("a change that failed has changed the file")
	}
}

func TestChangesAtTheSameTime(t *testing.T) {
	path := keysFile(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, _, err := Add(context.Background(), path, named(fmt.Sprint("key ", i), User), rng.Secret); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if keys, err := Read(path); err != nil || len(keys) != 8 {
		t.Errorf("%d keys are left of 8: %v", len(keys), err)
	}
}

func TestChangeKeepsWhatItCannotRead(t *testing.T) {
	ctx, path := context.Background(), keysFile(t)
	add(t, path, named("shop", User))
	must(t, os.WriteFile(path+".tmp", []byte("what a killed process left"), 0o600))
	add(t, path, named("Ada", Reviewer))
	if _, err := os.Stat(path + ".tmp"); err == nil {
		t.Error("a temporary file is left")
	}
	must(t, os.WriteFile(path, []byte("{damaged"), 0o600))
	if _, _, err := Add(ctx, path, named("x", User), rng.Secret); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a damaged file was changed: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "{damaged" {
		t.Errorf("the file is %q: %v", data, err)
	}
	must(t, os.Truncate(path, maxFile+1))
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestChangeWaitsForTheLock(t *testing.T) {
	path := keysFile(t)
	add(t, path, named("shop", User))
	lock := flock.New(path + ".lock")
	must(t, lock.Lock())
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Millisecond)
	defer cancel()
	if _, _, err := Add(ctx, path, named("x", User), rng.Secret); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the file was changed while it was locked: %v", err)
	}
	must(t, lock.Unlock())
}

func TestChangeThroughALink(t *testing.T) {
	path := keysFile(t)
	add(t, path, named("shop", User))
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Skip("no symbolic links here")
	}
	add(t, link, named("Ada", Reviewer))
	if keys, err := Read(path); err != nil || len(keys) != 2 {
		t.Errorf("behind the link are %d keys, want 2: %v", len(keys), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is a %v: %v", info.Mode(), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fileOf()))
	f.Add([]byte(fileOf("expires", `"2027-01-01T00:00:00Z"`, "limits", `{"concurrent":2}`)))
	f.Add([]byte(`{"version":1,"keys":[{}]}`))
	f.Add([]byte(`{"version":1,"keys":[null]}`))
	f.Add([]byte(`[[[[[[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := Parse(data)
		if err != nil {
			return
		}
		again, err := format(keys)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got, err := Parse(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
		if len(keys) != len(got) {
			t.Fatalf("%d keys became %d", len(keys), len(got))
		}
		for i := range keys {
			a, _ := json.Marshal(keys[i])
			b, _ := json.Marshal(got[i])
			if !bytes.Equal(a, b) {
				t.Fatalf("key %d: %s became %s", i, a, b)
			}
		}
	})
}
