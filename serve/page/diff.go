package page

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCells bounds the table of one comparison, and maxCompare the tables of a page; beyond it a text counts as replaced.
const (
	maxCells   = 1 << 20
	maxCompare = 1 << 22
)

// edit is a stretch that was kept (both ranges count, and their texts are equal), taken out or put in. Ranges are in bytes.
type edit struct {
	op     string // "", "del" or "ins"
	a0, a1 int
	b0, b1 int
}

// words cuts a text into words and the white space between them; it returns where each begins, and the text's end.
func words(text string) []int {
	at := []int{}
	was := 0 // 1 word, 2 space
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		is := 1
		if unicode.IsSpace(r) {
			is = 2
		}
		if is != was {
			at = append(at, i)
		}
		was = is
		i += n
	}
	return append(at, len(text))
}

// compare returns how b came out of a, word by word, by a longest common subsequence. Cells is what may still be spent; it is
// lowered by what was.
func compare(a, b string, cells *int) []edit {
	wa, wb := words(a), words(b)
	word := func(s string, w []int, i int) string { return s[w[i]:w[i+1]] }
	n, m := len(wa)-1, len(wb)-1
	head := 0
	for head < n && head < m && word(a, wa, head) == word(b, wb, head) {
		head++
	}
	tail := 0
	for tail < n-head && tail < m-head && word(a, wa, n-1-tail) == word(b, wb, m-1-tail) {
		tail++
	}
	var out []edit
	add := func(op string, i0, i1, j0, j1 int) {
		if i0 == i1 && j0 == j1 {
			return
		}
		e := edit{op, wa[i0], wa[i1], wb[j0], wb[j1]}
		if k := len(out) - 1; k >= 0 && out[k].op == op {
			out[k].a1, out[k].b1 = e.a1, e.b1
			return
		}
		out = append(out, e)
	}
	add("", 0, head, 0, head)
	rows, columns := n-tail-head, m-tail-head
	if size := (rows + 1) * (columns + 1); size > min(maxCells, *cells) || rows > 1<<15 || columns > 1<<15 {
		add("del", head, n-tail, head, head)
		add("ins", n-tail, n-tail, head, m-tail)
	} else {
		*cells -= size
		walk(rows, columns, func(i, j int) bool { return word(a, wa, head+i) == word(b, wb, head+j) }, func(op string, i0, i1, j0, j1 int) {
			add(op, head+i0, head+i1, head+j0, head+j1)
		})
	}
	add("", n-tail, n, m-tail, m)
	return smooth(a, b, out)
}

// smooth makes edits with nothing but white space between them one deletion and one insertion.
func smooth(a, b string, edits []edit) (out []edit) {
	for i := 0; i < len(edits); {
		if edits[i].op == "" {
			out = append(out, edits[i])
			i++
			continue
		}
		end := i + 1
		for end < len(edits) && (edits[end].op != "" || end+1 < len(edits) && strings.TrimSpace(a[edits[end].a0:edits[end].a1]) == "") {
			end++
		}
		first, last := edits[i], edits[end-1]
		if first.a0 < last.a1 {
			out = append(out, edit{"del", first.a0, last.a1, first.b0, first.b0})
		}
		if first.b0 < last.b1 {
			out = append(out, edit{"ins", last.a1, last.a1, first.b0, last.b1})
		}
		i = end
	}
	return out
}

// walk finds a longest common subsequence of rows and columns and tells the steps along it, deletions before insertions.
func walk(rows, columns int, same func(i, j int) bool, step func(op string, i0, i1, j0, j1 int)) {
	long := make([]uint16, (rows+1)*(columns+1)) // long[i,j] is the longest of rows i.. and columns j..
	at := func(i, j int) *uint16 { return &long[i*(columns+1)+j] }
	for i := rows - 1; i >= 0; i-- {
		for j := columns - 1; j >= 0; j-- {
			if same(i, j) {
				*at(i, j) = *at(i+1, j+1) + 1
			} else {
				*at(i, j) = max(*at(i+1, j), *at(i, j+1))
			}
		}
	}
	for i, j := 0, 0; i < rows || j < columns; {
		switch {
		case i < rows && j < columns && same(i, j):
			step("", i, i+1, j, j+1)
			i, j = i+1, j+1
		case i < rows && (j == columns || *at(i+1, j) >= *at(i, j+1)):
			step("del", i, i+1, j, j)
			i++
		default:
			step("ins", i, i, j, j+1)
			j++
		}
	}
}
