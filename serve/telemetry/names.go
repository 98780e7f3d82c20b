package telemetry

// semanticConventions is the version of OpenTelemetry's conventions that the names are from: the last of the common ones that has
// those for generative AI, which were still in development then. A later version may rename them; then this file changes.
const semanticConventions = "https://opentelemetry.io/schemas/1.41.0"

// Attributes by the conventions.
const (
	attrService        = "service.name"
	attrOperation      = "gen_ai.operation.name"
	attrProvider       = "gen_ai.provider.name"
	attrRequestModel   = "gen_ai.request.model"
	attrResponseModel  = "gen_ai.response.model"
	attrResponseID     = "gen_ai.response.id"
	attrChoices        = "gen_ai.request.choice.count"
	attrInputTokens    = "gen_ai.usage.input_tokens"
	attrOutputTokens   = "gen_ai.usage.output_tokens"
	attrFinish         = "gen_ai.response.finish_reasons"
	attrErrorType      = "error.type"
	attrInputMessages  = "gen_ai.input.messages"  // only with Options.Content
	attrOutputMessages = "gen_ai.output.messages" // only with Options.Content

	eventEvaluation = "gen_ai.evaluation.result"
	attrEvaluation  = "gen_ai.evaluation.name"
	attrScore       = "gen_ai.evaluation.score.value"
	attrLabel       = "gen_ai.evaluation.score.label"
)

// Values by the conventions.
const (
	operationChat       = "chat"
	operationCompletion = "text_completion"
	operationTool       = "execute_tool"
)

// Attributes of candor's own.
const (
	attrTrace     = "candor.trace" // the ID in the ledger
	attrProtocol  = "candor.protocol"
	attrOutcome   = "candor.outcome"
	attrTries     = "candor.tries"
	attrUngated   = "candor.ungated"
	attrOverhead  = "candor.overhead" // seconds that were not spent waiting for models, tools and people
	attrStage     = "candor.stage"    // try, action, result
	attrNumber    = "candor.stage.number"
	attrSystem    = "candor.system"
	attrPartial   = "candor.limit" // that was reached
	attrDecision  = "candor.decision"
	attrRole      = "candor.role"
	attrAttempt   = "candor.attempt"
	attrThreshold = "candor.threshold"
	attrDropped   = "candor.spans_dropped"
	attrPrivate   = "candor.chain.private" // only with Options.PrivateChain
	attrShown     = "candor.chain.shown"   // only with Options.PrivateChain
)

// Metrics. The first is the convention's, as Prometheus spells it.
const (
	metricOperation = "gen_ai_client_operation_duration_seconds"
	metricRequests  = "candor_requests_total"
	metricDuration  = "candor_request_duration_seconds"
	metricTokens    = "candor_tokens_total"
	metricVerdicts  = "candor_verdicts_total"
	metricParts     = "candor_part_duration_seconds"
	metricInFlight  = "candor_in_flight"
	metricHeld      = "candor_held"
	metricEntries   = "candor_ledger_entries_total"
	metricCommits   = "candor_ledger_commits_total"
	metricRefused   = "candor_ledger_refused_total"
	metricWaiting   = "candor_ledger_waiting"
	metricOpen      = "candor_ledger_open"
	metricExported  = "candor_telemetry_spans_total"
)

// provider is how the gateway calls itself.
const provider = "candor"
