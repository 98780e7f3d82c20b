// Package ledger is the record of what a gateway asked, judged and answered: append-only, hash-chained and signed.
//
//	l, err := ledger.Open(ctx, "candor.ledger", ledger.Options{Key: key, Clock: time.Now, Secret: rng.Secret})
//	receipt, err := l.Begin(ctx, id, facts, ledger.Content{Name: "prompt", Data: prompt}) // before anything is sent upstream
//	...
//	receipt, err = l.End(ctx, id, facts, ledger.Content{Name: "answer", Data: answer})    // before anything is released
//
// # What a receipt means
//
// [Ledger.Append] returns a receipt only when the entry is on the disk: it has survived whatever happens to the process or
// to the machine's power afterwards. One append at a time writes; what has gathered in the queue by then goes into one transaction with one
// sync (group commit). When the store is locked, full, damaged or away, or when the queue is full, an append fails with
// [ErrUnavailable], soon and without keeping anything in memory: a gateway refuses the request then. The ledger tries the
// store again every second, and [Ledger.Err] is nil again once it is back. An append that failed may still be on the disk,
// as when the disk fails between the write and its report: an entry without a receipt, never a receipt without an entry.
//
// A trace is what belongs to one request. Every trace that begins ends with an [KindEnd] or an [KindAbandoned]: those that a
// killed process left open are abandoned by the next [Open], those that the caller gives up by [Ledger.Abandon].
//
// # The chain
//
// Entries are numbered from 1 without gaps. The hash of an entry is SHA-256 over
//
//	"candor ledger entry 1\n", seq, hash of the entry before (32 zero bytes for the first), time in Unix milliseconds, back,
//	kind, trace, body, number of contents, and for each content its name and its commitment
//
// where numbers are 8 bytes, most significant first, hashes are 32 bytes, and kind, trace, body and names are preceded by
// their length as such a number. The 1 is the version of this encoding. Seq is the order of entries, not time: the clock of a
// machine may go back. Then an entry takes the time of the one before it, and back says by how many milliseconds the clock
// was behind that: the clock's own reading is time minus back.
//
// Entry 1 has kind [KindLedger] and names the ledger and its public key. Checkpoints are entries whose body has the
// number and the hash of the entry before them and an Ed25519 signature (RFC 8032) over
//
//	"candor ledger checkpoint 1\n", seq, hash, time
//
// There is one for every [Every] entries at least, one some seconds after the last entry, and one at [Ledger.Close].
// Who can write to the file but has not the key can forge what comes after the last checkpoint and nothing before; a
// verifier who knows the public key sees any longer stretch without a signature as a fault.
//
// What no ledger can show by itself is that its end was cut off: a shorter ledger is a ledger too. So keep a [Mark], the
// number and hash of an entry, in another place from time to time (candor ledger verify prints the last), and verify
// against it.
//
// # Content
//
// What people wrote and what models wrote is not in the chain but beside it: the chain has its commitment, SHA-256 over
// "candor ledger content 1\n", a secret salt of 32 bytes and the content. [Ledger.Redact] overwrites salt and content with zeros
// where they lie, and notes in the chain who did it, why, and what it was. The chain can be verified as before, and without the
// salt nobody can find the content by trying likely ones. A body cannot be redacted: keep what may have to go out of it.
// Redaction reaches neither backups, nor exports, nor what a disk keeps of overwritten blocks. Postgres keeps the row as it was
// in its files until VACUUM, which follows at once, and a later write take its place, and in its own log until that is recycled.
//
// # Reading
//
// A [Reader] sees an entry as soon as it has a receipt. It may stay open beside the [Ledger], in the same process or another.
// [Reader.Begins] lists traces, [Reader.Traces] gets them, [Reader.Waiting] finds what waits for a person; none of them reads
// more of the ledger than it returns. IDs of traces that grow with time make appends cheaper than random ones: their index then
// grows at one end.
//
// # In a file
//
// The store is one SQLite file (WAL, synchronous=FULL). One process writes, under the lock FILE.lock; any number reads at
// any time. Its write-ahead log has some 16 MB, more only while somebody reads for long; another goroutine than the writer moves
// entries from there to the file.
//
// # In Postgres
//
// Several gateways may share a ledger in a Postgres database: give all the same URL and the same key. The tables lie in the schema
// candor, or in the one that the URL names as search_path; the database must have UTF-8 and fsync on. There is one chain: each
// group commit locks the row that says where the chain stands, appends, and goes on when the transaction is durable
// (synchronous_commit=on), in two round trips. A signature of one gateway covers what the others have written before.
//
// A trace belongs to the gateway that began it, by [Options].Instance, and only that one can go on with it. Each gateway tells
// every few seconds that it is alive. When nothing was heard of one for 15 s, any other abandons its traces, unless Postgres
// itself was away just before; one that was only slow finds [ErrNotBegun] when it wants to end them, and releases nothing.
//
// While Postgres is away, appends fail about as soon as [Options].Busy says, and nothing is kept; the ledger connects again by
// itself. Connect to Postgres itself or to a pool by session: one by transaction does not keep the settings.
//
// [Reader.Export] writes the entries as JSON lines, which [VerifyExport] checks without the store.
package ledger
