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
// and is [StateUnknown] whenever nobody can say.
//
// # One call for all of it
//
// [Run] makes these calls for you, writes down in a [Journal] what it is about
// to do before it does it, and can be called again after any crash: money
// moves once. [Resume] goes on with what a journal holds, [Recover] lists it.
//
// # Errors
//
// Every error is an [*Error] with one promise, its [Kind]. All kinds but
// [ErrAmbiguous] promise that the call had no lasting effect. ErrAmbiguous
// means that money may have moved, or may still move: do not send the batch
// again; call [Reconcile], or [Resume] if you used Run.
//
// # Abilities
//
// What only some services can do is an interface of one method behind a free
// function: [Find], [Cancel], [List], [SetItems], and bulk polling in
// [WatchAll]. A provider that implements one really can; for the others the
// function returns [ErrUnsupported].
package batch
