package auth

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimits(t *testing.T) {
	path, c := keysFile(t), newClock()
	few := named("few", User)
	few.Limits.RequestsPerMinute = 3
	_, fewKey := add(t, path, few)
	two := named("two", User)
	two.Limits.Concurrent = 2
	_, twoKey := add(t, path, two)
	tokens := named("tokens", User)
	tokens.Limits.TokensPerMinute = 600
	_, tokensKey := add(t, path, tokens)
	_, plainKey := add(t, path, named("plain", User))
	a := open(t, path, c, func(o *Options) { o.Limits = Limits{Concurrent: 50} })

	t.Run("requests", func(t *testing.T) {
		for range 3 {
			done, refused := admitted(t, a, fewKey)
			check(t, refused == nil, "refused: %+v", refused)
			done()
		}
		_, refused := admitted(t, a, fewKey)
		check(t, refused != nil && refused.Status == 429 && refused.Code == "rate_limit_exceeded", "a fourth request: %+v", refused)
		check(t, refused.After > 19*time.Second && refused.After <= 20*time.Second, "to be tried after %s", refused.After)
		for range 100 { // what is refused does not count
			admitted(t, a, fewKey)
		}
		c.pass(refused.After)
		_, refused = admitted(t, a, fewKey)
		check(t, refused == nil, "refused when it was told to come: %+v", refused)
		_, refused = admitted(t, a, fewKey)
		check(t, refused != nil, "two came in where one could")
		c.pass(-time.Hour) // the clock goes back
		_, refused = admitted(t, a, fewKey)
		check(t, refused != nil, "a clock that goes back fills the bucket")
		c.pass(time.Hour)
	})
	t.Run("concurrent", func(t *testing.T) {
		first, _ := admitted(t, a, twoKey)
		second, _ := admitted(t, a, twoKey)
		_, refused := admitted(t, a, twoKey)
		check(t, refused != nil && refused.Status == 429 && refused.After > 0, "a third at the same time: %+v", refused)
		first()
		first() // again does nothing
		third, refused := admitted(t, a, twoKey)
		check(t, refused == nil, "after one ended: %+v", refused)
		_, refused = admitted(t, a, twoKey)
		check(t, refused != nil, "done twice counts twice")
		second()
		third()
	})
	t.Run("tokens", func(t *testing.T) {
		ctx, done, err := a.Admit(request("POST", "/", tokensKey))
		must(t, err)
		a.Charge(ctx, -1_000_000)
		a.Charge(ctx, 600)
		done()
		done, refused := admitted(t, a, tokensKey)
		check(t, refused == nil, "refused at the limit: %+v", refused)
		done()
		a.Charge(ctx, 1200)
		_, refused = admitted(t, a, tokensKey)
		check(t, refused != nil && refused.Status == 429 && refused.After == 2*time.Minute, "overdrawn by two minutes: %+v", refused)
		c.pass(refused.After - time.Second)
		_, refused = admitted(t, a, tokensKey)
		check(t, refused != nil, "let in too early")
		c.pass(time.Second)
		_, refused = admitted(t, a, tokensKey)
		check(t, refused == nil, "refused when it was told to come: %+v", refused)
	})
	t.Run("default", func(t *testing.T) {
		for range 50 {
			_, refused := admitted(t, a, plainKey)
			check(t, refused == nil, "refused: %+v", refused)
		}
		_, refused := admitted(t, a, plainKey)
		check(t, refused != nil && refused.Status == 429, "the default limit: %+v", refused)
	})
}

// No sequence of requests and pauses lets more in than a full bucket and what flows in afterwards.
func TestBucketLetsNoMoreIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 100).Draw(t, "limit")
		now, let := start, 0
		var u usage
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 3000).Draw(t, "pause")) * time.Millisecond)
			if u.begin(now, Limits{RequestsPerMinute: limit}) == nil {
				let++
			}
			// A clock that goes back may give 5 ms twice, 300 times.
			if most := float64(limit)*(1+(now.Sub(start)+3*time.Second).Minutes()) + 1e-3; float64(let) > most {
				t.Fatalf("%d requests in %s at %d per minute", let, now.Sub(start), limit)
			}
		}
	})
}
