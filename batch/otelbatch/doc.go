// Package otelbatch is telemetry for package batch: spans and metrics by
// OpenTelemetry. It is a module of its own, so that a program that imports batch
// links nothing of OpenTelemetry.
//
//	config.Middleware = otelbatch.Middleware()            // citypay.Config and its like: a span for each request
//	provider = otelbatch.Wrap(provider)                   // a span for each call of the provider
//	journal = otelbatch.WrapJournal(journal)              // items, money, failures
//	registration, err := otelbatch.Observe(provider, journal) // what is open
//
// Give provider and journal to batch.Run and its like. Nothing of this sends a
// request, repeats one or changes one; no trace header goes to the service.
// Telemetry that fails ends no call.
//
// # Where it goes
//
// [WithTracerProvider] and [WithMeterProvider] name the providers. Without them
// it is OpenTelemetry's convention: the global ones, which do nothing unless the
// program has set them. The scope of all is the path of this package.
//
// # What it never holds
//
// No credential, URL, header or body; no account, name or amount of one item; no
// words of an error, which can name a customer. The account in it is Info.Account,
// the caller's own at the service.
//
// # Spans
//
//	NAME                 KIND      WHEN
//	Create <provider>    internal  a call of batch.Provider
//	Submit <provider>    internal  the same
//	Poll <provider>      internal  the same
//	Report <provider>    internal  the same
//	Find <provider>      internal  a call of batch.Finder
//	Cancel <provider>    internal  a call of batch.Canceler
//	List <provider>      internal  an iteration of batch.Lister, as long as the caller takes
//	SetItems <provider>  internal  a call of batch.Editor
//	PollAll <provider>   internal  a call of batch.BulkPoller
//	GET, POST, PUT...    client    a request, until the header of its reply
//
// A span with an error has the status Error, without a description. A Find
// that finds nothing has one, too.
//
// # Attributes of spans
//
//	batchway.provider             Info.Name
//	batchway.account              Info.Account
//	batchway.op                   the method of the provider: Submit
//	batchway.reference            Draft.Reference
//	batchway.items                the items of the draft: an integer
//	batchway.batches              the batches of a List or PollAll: an integer
//	batchway.batch.id             the service's ID, once there is one
//	batchway.batch.state          batch.State after the call; unknown for StateUnknown
//	error.type                    the kind of the error: ambiguous; of a request: the status,
//	                              or dial, read, write, timeout, canceled or _OTHER
//	batchway.error.op             batch.Error.Op, the service's operation
//	batchway.error.code           batch.Error.Code, the service's
//	batchway.error.request_id     batch.Error.RequestID, for the service's support
//	http.request.method           of a request
//	server.address                its host
//	server.port                   its port: an integer
//	http.response.status_code     the status of its reply: an integer
//	network.protocol.version      1.1
//
// The semantic conventions also ask for url.full. It is left out: the paths of
// some services hold the number of a customer.
//
// # Metrics
//
//	NAME                          TYPE       UNIT          WHAT
//	batchway.call.duration        histogram  s             a call of the provider
//	batchway.items                counter    {item}        items by the outcome that the journal has kept
//	batchway.money                counter    {minor_unit}  their amounts, in minor units: 1250 is 12.50 GBP
//	batchway.batch.time_to_final  histogram  s             from the first Submit until the journal has the final report
//	batchway.journal.failures     counter    {call}        calls of the journal that failed
//	batchway.batches.open         gauge      {batch}       batches that the journal holds open
//	batchway.batches.age          gauge      s             of the oldest of them, since its first Submit or else its intent
//
// # Attributes of metrics
//
//	batchway.provider     of all but batchway.journal.failures
//	batchway.account      the same
//	batchway.op           of batchway.call.duration and batchway.journal.failures: the method
//	error.type            of batchway.call.duration, if it failed: the kind
//	batchway.outcome      of batchway.items and batchway.money: paid, failed, pending, returned, skipped or unknown
//	batchway.currency     of batchway.money
//	batchway.batch.state  of batchway.batch.time_to_final: done, failed or cancelled
//	batchway.standing     of the gauges: intended, draft, unclear, submitted or unreadable
//
// A batch of standing unclear may have been submitted: it is what ErrAmbiguous
// speaks of. Amounts are integers here; Prometheus keeps every number as a
// float64, which is exact up to 9,007,199,254,740,992 minor units.
//
// # Dashboard and alerts
//
// dashboard.json is for Grafana, alerts.yml for Prometheus. Both use the names
// that OpenTelemetry's exporter for Prometheus gives to these metrics. The
// example of Prometheus shows how a program serves them.
package otelbatch
