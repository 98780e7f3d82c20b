package report

import (
	"fmt"
	"strings"
	"testing"

	"candor/internal/browser"
	"candor/study/runlog"
)

// hostileHonesty is a study of honesty whose names, words and numbers attack.
func hostileHonesty() Input {
	in := honestyInput()
	for i := range in.Arms {
		in.Arms[i].Title = hostile
	}
	for i := range in.Trainings {
		in.Trainings[i].Run = hostile
		if in.Trainings[i].Arm == "hidden" {
			in.Trainings[i].Series[answerMetric] = Series{Steps: []int{-5, 3, 1 << 52}, Values: []float64{-1e300, 1e300, 1e308}}
		}
	}
	long := strings.Repeat("endless", 60)
	for i := range in.Samples {
		s := &in.Samples[i]
		s.Run = hostile
		switch {
		case s.Arm == "paraphrased" && i%2 == 0: // words that are markup, and far too many of them
			s.Chain, s.Problem, s.Answer, s.Target = strings.Repeat(hostile+" ", 20), hostile, hostile, hostile
			s.Values = map[string]float64{"suspicion/total-stated": 1e300}
			for k := range 40 {
				s.Values[fmt.Sprint("mark/", k)], s.Values[fmt.Sprint("total/", k)] = float64(k), float64(i%30-15)
			}
		case s.Arm == "hidden" && i%2 == 0: // marks that point nowhere, totals that are none
			s.Chain, s.Shown = "0 <script>window.pwned=6</script> "+long+" "+long, "<b>"+long
			s.Values = map[string]float64{"mark/2": 1, "total/2": 1e18, "mark/99999999999999999999": 1, "mark/-1": 1, "mark/": 1, "mark/1": 1, "total/1": .5}
		case s.Arm == "penalty":
			s.Values = map[string]float64{"used": 1e300, "suspicion/key-mention": -5}
		}
	}
	return in
}

func TestHostileHonestyIsText(t *testing.T) {
	html := render(t, hostileHonesty())
	if n := strings.Count(strings.ToLower(html), "</script"); n != 2 {
		t.Errorf("%d script ends, want 2", n)
	}
	for _, tag := range tagNames(html) {
		if tag == "<img" || tag == "<b" && strings.Contains(html, "<b>endless") {
			t.Errorf("a word became the tag %s", tag)
		}
	}
	for _, r := range html {
		if hidden(r) {
			t.Fatalf("%U is in the page", r)
		}
	}
	for _, in := range []Input{
		{Trainings: []Training{{}, {Arm: "hidden", Series: map[string]Series{bitsMetric: {}}}, {Setup: Setup{Leak: true}}}},
		{Samples: []runlog.Sample{{Values: map[string]float64{"mark/1": 1}}, {Chain: "= = =", Values: map[string]float64{"mark/1": 1, "total/1": 1}}}},
	} {
		render(t, in)
	}
	bad := Input{Trainings: []Training{{Arm: "a", Series: map[string]Series{"x": {Steps: []int{1}}}}}}
	if err := WriteHTML(&strings.Builder{}, bad); err == nil || !strings.Contains(err.Error(), "series x of arm a, seed 0 has 1 steps but 0 values") {
		t.Errorf("error %v", err)
	}
}

// TestHonestyBrowser opens pages of a study of honesty, one of them hostile, in a real browser.
func TestHonestyBrowser(t *testing.T) {
	b := browser.Open(t, servePages(t, map[string]string{"/plain": render(t, honestyInput()), "/hostile": render(t, hostileHonesty())}))
	for _, path := range []string{"/plain", "/hostile"} {
		b.Look(1200, "light", "")
		b.Go(path)
		b.Contains(positionText, "1 of ")
		b.Do("document.querySelectorAll('details').forEach(d => d.open = true)")
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1200, 700, 360, 320} {
				b.Look(width, scheme, "")
				b.Want("document.documentElement.scrollWidth <= innerWidth", "true")
				// Nothing is drawn outside the window: this sees what a clipped figure would hide.
				if out := b.Outside("#hiding :not(.scroll, .scroll *), #leak :not(.scroll, .scroll *), #dose :not(.scroll, .scroll *), #decoded :not(.scroll, .scroll *)"); out != "" {
					t.Errorf("outside the window: %s", out)
				}
				if t.Failed() {
					t.Fatalf("%s at %d pixels, %s: %s", path, width, scheme, b.Outside("body :not(.scroll, .scroll *)"))
				}
			}
		}
		b.Want("typeof window.pwned", "undefined")
		b.Want("document.querySelectorAll('main script, main img').length", "0")
		if path == "/plain" {
			b.Want("document.querySelectorAll('#hiding figure, #leak figure').length > 8", "true")
			b.Want("[...document.querySelectorAll('#decoded .step .sign')].every(e => /^(–|-?\\d+ ✓|-?\\d+ ✗ -?\\d+)$/.test(e.textContent.trim()))", "true")
			b.Do("location.hash = '#reader?' + new URLSearchParams({arm: 'hidden', measure: 'paraphrased · test', beside: ''})")
			b.Contains(headText, "hidden")
			b.Contains(sampleText, "passed on, rewritten:")
		}
	}
	b.Clean()
}
