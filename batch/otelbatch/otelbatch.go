package otelbatch

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/batchway/batchway-go/batch"
)

// scope names this package to OpenTelemetry.
const scope = "github.com/batchway/batchway-go/batch/otelbatch"

// The attributes, see the package comment.
const (
	keyProvider  = attribute.Key("batchway.provider")
	keyAccount   = attribute.Key("batchway.account")
	keyOp        = attribute.Key("batchway.op")
	keyReference = attribute.Key("batchway.reference")
	keyItems     = attribute.Key("batchway.items")
	keyBatchID   = attribute.Key("batchway.batch.id")
	keyState     = attribute.Key("batchway.batch.state")
	keyBatches   = attribute.Key("batchway.batches")
	keyErrorOp   = attribute.Key("batchway.error.op")
	keyErrorCode = attribute.Key("batchway.error.code")
	keyRequestID = attribute.Key("batchway.error.request_id")
	keyOutcome   = attribute.Key("batchway.outcome")
	keyCurrency  = attribute.Key("batchway.currency")
	keyStanding  = attribute.Key("batchway.standing")
)

// An Option says where spans and metrics go.
type Option func(*config)

type config struct {
	traces  trace.TracerProvider
	metrics metric.MeterProvider
}

// WithTracerProvider gives the spans to p. Without it, or if p is nil, they go
// to OpenTelemetry's global provider, which does nothing unless it was set.
func WithTracerProvider(p trace.TracerProvider) Option { return func(c *config) { c.traces = p } }

// WithMeterProvider gives the metrics to p. Without it, or if p is nil, they go
// to OpenTelemetry's global provider, which does nothing unless it was set.
func WithMeterProvider(p metric.MeterProvider) Option { return func(c *config) { c.metrics = p } }

func newConfig(options []Option) config {
	var c config
	for _, option := range options {
		option(&c)
	}
	if c.traces == nil {
		c.traces = otel.GetTracerProvider()
	}
	if c.metrics == nil {
		c.metrics = otel.GetMeterProvider()
	}
	return c
}

func (c config) tracer() trace.Tracer {
	return c.traces.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

func (c config) meter() metric.Meter {
	return c.metrics.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
}

// made returns an instrument. The API gives one that does nothing beside an
// error: telemetry must not end a program that moves money.
func made[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// account is the attributes of every metric of one account.
func account(provider, account string) []attribute.KeyValue {
	return []attribute.KeyValue{keyProvider.String(provider), keyAccount.String(account)}
}

// errorType is the kind of err, such as "ambiguous".
func errorType(err error) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(string(batch.KindOf(err)))
}

// stateOf is the state of b in words: batch.StateUnknown is the empty string.
func stateOf(b batch.Batch) string {
	if b.State == batch.StateUnknown {
		return "unknown"
	}
	return string(b.State)
}
