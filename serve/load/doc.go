// Package load puts a gateway under load and measures what it adds.
//
// [Mock] is an upstream that answers at once; [Run] sends requests at a fixed rate, whether earlier ones are answered or not, and
// counts each latency from when the request was due: a gateway that stalls is charged for all that had to wait (no coordinated
// omission). [Streams] keeps so many streams open at a time. Both write plain HTTP/1.1 on connections that stay open and look only at
// what they must, so that on a small machine the load takes little of what the gateway needs.
package load
