// Package telemetry tells others how a gateway does: spans over OTLP for each trace, and metrics for Prometheus to fetch.
//
//	t, err := telemetry.New(telemetry.Options{Endpoint: "http://localhost:4318", Clock: time.Now})
//	t.Gauges(gateway.Stats, func() telemetry.Ledger { return telemetry.Ledger(l.Stats()) })
//	ctx = telemetry.Parent(ctx, request.Header)   // where a request comes in
//	t.Observe(ctx, telemetry.Observation{...})    // once after each end
//	mux.Handle("/metrics", t.Metrics())
//	err = t.Shutdown(ctx)
//
// # Spans
//
// A request's trace is one span, below that of the client if it sent a traceparent, with a child for each part of the work:
//
//	chat MODEL                 the trace
//	  limits, ledger begin     what comes before the first try
//	  try main                 each try, action or result; verdicts are its events
//	    chat MODEL             each call of a model, by its role
//	  monitors, review, tool   other parts
//	  ledger end
//
// They are built when a trace has ended, from what the gateway noted anyway, so that nothing is added to a request but a place in a
// queue. Calls have the times that were measured; of other parts only the durations are known, so that the parts before the first
// try follow each other from the arrival on, the end lies at the end, and the others follow the last try.
//
// Names are those of OpenTelemetry's conventions for generative AI (see names.go), or begin with candor.
//
// # What is never told
//
// Texts stay at home. No prompt, chain, answer, tool argument, note of a monitor or message of an error is part of a span or a
// metric. With Options.Content a span shows the prompt and the answer that was released; what was blocked or is held stays at home
// even then. The chain of thought, as it was written and as the face read it, is shown only with both Options.Content and
// Options.PrivateChain.
//
// # When the collector fails
//
// The queue is bounded in number and bytes. What does not fit, and what could not be sent within seconds, is thrown away and
// counted. No request waits, and nothing is logged. The record of what was released is the ledger; this is only a view.
//
// # Metrics
//
// The metrics are made by Prometheus's own client and not by OpenTelemetry's with its exporter: a counter costs a tenth of a
// microsecond instead of one, and nothing stands between the names here and those that are scraped. Labels never hold what a client
// can choose freely: each label has at most some dozens of values, and whatever comes beyond them counts as "other".
package telemetry
