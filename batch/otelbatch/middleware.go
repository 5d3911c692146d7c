package otelbatch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Middleware returns what a provider's Config.Middleware takes: each request
// gets a client span, below the span of the call of a wrapped provider. It sends
// each request once, adds no header to it, and returns the reply as it came. The
// span ends with the header of the reply.
//
// Of the request, a span holds its method, host and port, and nothing else: the
// path of some services names customers.
func Middleware(options ...Option) func(http.RoundTripper) http.RoundTripper {
	tracer := newConfig(options).tracer()
	return func(next http.RoundTripper) http.RoundTripper { return &transport{next, tracer} }
}

type transport struct {
	next   http.RoundTripper
	tracer trace.Tracer
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := t.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(aboutRequest(r)...))
	defer span.End()
	response, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(transportError(err)))
		span.SetStatus(codes.Error, "")
	}
	if response == nil {
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(response.StatusCode))
	if response.ProtoMajor > 0 {
		span.SetAttributes(semconv.NetworkProtocolVersion(fmt.Sprintf("%d.%d", response.ProtoMajor,
			response.ProtoMinor)))
	}
	if err == nil && response.StatusCode >= 400 {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(response.StatusCode)))
		span.SetStatus(codes.Error, "")
	}
	return response, err
}

func aboutRequest(r *http.Request) []attribute.KeyValue {
	port, err := strconv.Atoi(r.URL.Port())
	if err != nil {
		port = 443
		if r.URL.Scheme == "http" {
			port = 80
		}
	}
	return []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(r.Method),
		semconv.ServerAddress(r.URL.Hostname()),
		semconv.ServerPort(port),
	}
}

// transportError says what kind of error it is. Its words stay out: they can
// hold the URL.
func transportError(err error) string {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &timeout) && timeout.Timeout(): // context.DeadlineExceeded is one, too.
		return "timeout"
	case errors.As(err, &op):
		return op.Op // "dial", "read" or "write"
	default:
		return semconv.ErrorTypeOther.Value.AsString()
	}
}
