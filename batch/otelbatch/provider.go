package otelbatch

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/batchway/batchway-go/batch"
)

// Wrap returns p with a span and a duration for each call. Arguments, results
// and errors pass through unchanged, and no call is made twice. The abilities of
// p, such as batch.Finder, are found as before, and have spans as well; so is p
// itself, by batch.As.
func Wrap(p batch.Provider, options ...Option) batch.Provider {
	c, info := newConfig(options), p.Info()
	w := &provider{
		Provider: p,
		below:    p,
		tracer:   c.tracer(),
		duration: made(c.meter().Float64Histogram("batchway.call.duration", metric.WithUnit("s"),
			metric.WithDescription("Duration of a call of the provider, from its begin to its return."),
			metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300))),
		account: account(info.Name, info.Account),
	}
	// One layer for each ability that p has: batch.As goes through them.
	if f, ok := batch.As[batch.Finder](p); ok {
		w.below = finder{layer{w, w.below}, f}
	}
	if c, ok := batch.As[batch.Canceler](p); ok {
		w.below = canceler{layer{w, w.below}, c}
	}
	if l, ok := batch.As[batch.Lister](p); ok {
		w.below = lister{layer{w, w.below}, l}
	}
	if e, ok := batch.As[batch.Editor](p); ok {
		w.below = editor{layer{w, w.below}, e}
	}
	if b, ok := batch.As[batch.BulkPoller](p); ok {
		w.below = bulkPoller{layer{w, w.below}, b}
	}
	return w
}

// A provider is the outermost wrapper: it has the calls that every provider has.
type provider struct {
	batch.Provider
	below    batch.Provider // the layers of its abilities, and then Provider
	tracer   trace.Tracer
	duration metric.Float64Histogram
	account  []attribute.KeyValue
}

func (p *provider) Unwrap() batch.Provider { return p.below }

// A call is one call of the provider that is under way.
type call struct {
	p     *provider
	ctx   context.Context
	op    string
	span  trace.Span
	began time.Time
}

func (p *provider) begin(ctx context.Context, op string, about ...attribute.KeyValue) *call {
	c := &call{p: p, op: op, began: time.Now()}
	c.ctx, c.span = p.tracer.Start(ctx, op+" "+p.account[0].Value.AsString(),
		trace.WithAttributes(p.account...), trace.WithAttributes(keyOp.String(op)), trace.WithAttributes(about...))
	return c
}

// end ends the span with what the call returned. The words of an error stay out:
// they can hold accounts of customers.
func (c *call) end(err error, about ...attribute.KeyValue) {
	metrics := append([]attribute.KeyValue{keyOp.String(c.op)}, c.p.account...)
	if err != nil {
		metrics = append(metrics, errorType(err))
		about = append(about, errorType(err))
		about = append(about, aboutError(err)...)
		c.span.SetStatus(codes.Error, "")
	}
	c.span.SetAttributes(about...)
	c.span.End()
	c.p.duration.Record(c.ctx, time.Since(c.began).Seconds(), metric.WithAttributes(metrics...))
}

// aboutError is what identifies err to the service's support.
func aboutError(err error) (about []attribute.KeyValue) {
	var e *batch.Error
	if !errors.As(err, &e) {
		return nil
	}
	for key, value := range map[attribute.Key]string{keyErrorOp: e.Op, keyErrorCode: e.Code,
		keyRequestID: e.RequestID} {
		if value != "" {
			about = append(about, key.String(value))
		}
	}
	return about
}

func aboutDraft(d batch.Draft) []attribute.KeyValue {
	return []attribute.KeyValue{keyReference.String(d.Reference), keyItems.Int(len(d.Items))}
}

func aboutBatch(b batch.Batch) []attribute.KeyValue {
	about := []attribute.KeyValue{keyState.String(stateOf(b))}
	if b.ID != "" {
		about = append(about, keyBatchID.String(b.ID))
	}
	return about
}

func (p *provider) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	c := p.begin(ctx, "Create", aboutDraft(d)...)
	b, err := p.Provider.Create(c.ctx, d)
	c.end(err, aboutBatch(b)...)
	return b, err
}

func (p *provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	c := p.begin(ctx, "Submit", aboutDraft(b.Draft)...)
	b, err := p.Provider.Submit(c.ctx, b)
	c.end(err, aboutBatch(b)...)
	return b, err
}

func (p *provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	c := p.begin(ctx, "Poll", aboutDraft(b.Draft)...)
	b, err := p.Provider.Poll(c.ctx, b)
	c.end(err, aboutBatch(b)...)
	return b, err
}

func (p *provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	c := p.begin(ctx, "Report", aboutDraft(b.Draft)...)
	r, err := p.Provider.Report(c.ctx, b)
	c.end(err, aboutBatch(r.Batch)...)
	return r, err
}

// A layer is the provider with one ability more.
type layer struct {
	*provider
	under batch.Provider
}

func (l layer) Unwrap() batch.Provider { return l.under }

type finder struct {
	layer
	batch.Finder
}

func (f finder) Find(ctx context.Context, reference string) (batch.Batch, error) {
	c := f.begin(ctx, "Find", keyReference.String(reference))
	b, err := f.Finder.Find(c.ctx, reference)
	c.end(err, aboutBatch(b)...)
	return b, err
}

type canceler struct {
	layer
	batch.Canceler
}

func (l canceler) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	c := l.begin(ctx, "Cancel", aboutDraft(b.Draft)...)
	b, err := l.Canceler.Cancel(c.ctx, b)
	c.end(err, aboutBatch(b)...)
	return b, err
}

type lister struct {
	layer
	batch.Lister
}

// List has a span for each iteration, which lasts as long as that.
func (l lister) List(ctx context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) {
		c := l.begin(ctx, "List")
		var last error
		n := 0
		defer func() { c.end(last, keyBatches.Int(n)) }()
		for b, err := range l.Lister.List(c.ctx) {
			if last = err; err == nil {
				n++
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

type editor struct {
	layer
	batch.Editor
}

func (l editor) SetItems(ctx context.Context, b batch.Batch, items []batch.Item) (batch.Batch, error) {
	c := l.begin(ctx, "SetItems", keyReference.String(b.Draft.Reference), keyItems.Int(len(items)))
	b, err := l.Editor.SetItems(c.ctx, b, items)
	c.end(err, aboutBatch(b)...)
	return b, err
}

type bulkPoller struct {
	layer
	batch.BulkPoller
}

func (l bulkPoller) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	c := l.begin(ctx, "PollAll", keyBatches.Int(len(bs)))
	polled, err := l.BulkPoller.PollAll(c.ctx, bs)
	c.end(err)
	return polled, err
}
