// Package auth says who may do what at a gateway: API keys with roles and limits, and sessions of people at the page.
//
//	a, err := auth.Open(auth.Options{File: "candor-serve/keys.json", Clock: time.Now, Secret: rng.Secret, Anonymous: loopback})
//	ctx, done, err := a.Admit(r) // a request for a model; done when it is answered
//	who := auth.From(ctx)
//	a.Charge(ctx, tokens)
//	h := a.Guard().Require(auth.Operator)(metrics)
//
// # Roles
//
// A key has one or more of three roles, and none includes another: a [User] asks models, a [Reviewer] sees traces with their
// private chains and decides on held answers, an [Operator] sees how the gateway does. Who runs the machines thus need not
// read what people wrote, and a leaked key of an application opens no private chain.
//
// # Keys
//
// A key is "candor-" and 256 random bits in base32. It is shown once, when it is made; the file has its SHA-256. A hash
// without salt or delay is enough, since nobody can guess 256 bits, however fast a guess is tried. Keys are found by that hash
// in an ordinary map: its time depends on the hash of the guess, which says nothing of how near the guess is to a key.
// Nothing in this package returns, prints or wraps the text of a key, in errors neither.
//
// The file is written as a whole or not at all, under the lock FILE.lock ([Add], [Revoke]). A running gateway looks once
// a second, when a request comes, whether the file has changed; so a revocation is in force within a second. A
// damaged or missing file changes nothing: the keys stay as they were last read, and [Auth.Ready] says what is wrong.
//
// # Limits
//
// Requests and tokens per minute are token buckets that hold one minute's worth and fill steadily: who was quiet may send a
// whole minute's worth at once. Tokens are known only afterwards, so [Auth.Charge] may overdraw the bucket; until it is
// filled again, requests are refused. Counts survive a change of the file but not the process.
//
// # Without keys
//
// With [Options.Anonymous], and as long as the file has no key at all (a revoked one counts), whoever is on this machine may do
// everything. Pages of the web that run in a browser on this machine are not on this machine: their requests come with another
// Host (DNS rebinding), or say in Sec-Fetch-Site or Origin where they come from, and are refused. So are requests that
// a proxy has passed on.
//
// # Sessions
//
// People open the page by typing a key that is a reviewer's or an operator's. What the browser keeps is a random token in a
// cookie that no script and no other site can use; the gateway keeps its hash, in memory. A session ends by logout, after
// some time without use, after some time in any case, and with its key. Requests that change something need the session's form token
// besides, and must come from the page itself: [Sessions.Require] sees to both. A request with a key in its header needs
// neither cookie nor form token, since no browser adds one by itself.
package auth
