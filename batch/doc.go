// Package batch runs batches of payments without caring which service is
// behind them.
//
// # The story
//
// You describe what you want as a [Draft]: a reference of yours, the direction
// in which money should move, and items with exact amounts. A [Provider], made
// by one of the packages citypay, centrapay, sixdotfifty and snapbill, takes
// it through five calls:
//
//	Create   checks everything and prepares; no money can move
//	Submit   lets the money move, once
//	Poll     reads where the batch stands
//	Report   reads what became of every item
//	Info     fixed facts, without I/O
//
// The [Batch] between the calls is plain data: store it as JSON, and go on in
// another process, weeks later. Its [State] moves like this:
//
//	draft ──Submit──> pending ──> done        look at the report: items may have failed
//	                         ├──> failed      refused or aborted as a whole
//	                         └──> cancelled   withdrawn before processing
//
// and is [StateUnknown] whenever the outcome is not known.
//
// # One call for all of it
//
// [Run] makes these calls for you, writes down in a [Journal] what it is about
// to do before it does it, and can be called again after any crash: money
// moves once. [Resume] goes on with what a journal holds. A program that does
// not want to wait calls [Start] for each batch, and [Settle] now and then.
//
// A [Desk] is for the people who look after the batches: it shows what is open,
// takes approvals and decisions, and tells what became of every payment.
//
// # Errors
//
// Every error of a Provider, and of the functions that call one, is an [*Error]
// with one promise, its [Kind]. [ErrAmbiguous] means that money may have moved,
// or may still move: do not send the batch again; call [Reconcile], or [Resume]
// if you used Run. Every other kind promises that the call of the Provider that
// failed has moved no money and will not. Run makes several calls: what is known
// about money beside its error is in the State of Report.Batch.
//
// # Abilities
//
// What only some services can do is an interface of one method behind a free
// function: [Find], [Cancel], [List], [SetItems], and bulk polling in
// [WatchAll]. A provider that implements one really can; for the others the
// function returns [ErrUnsupported].
package batch
