package rest

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// A user's transport keeps its proxy, its dialer and its certificates. Ours
// reads no environment: a proxy is asked for with a transport.

// onceTransport cannot send anything twice: HTTP/1.1 without keep-alive, so
// that no request shares a connection, and net/http never resends on a fresh
// one.
func onceTransport(user *http.Client) http.RoundTripper {
	t, foreign := transport(user)
	if foreign != nil {
		return foreign
	}
	t.DisableKeepAlives = true
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSClientConfig.NextProtos = nil
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.ResponseHeaderTimeout = 2 * time.Minute // A service may process before it answers.
	return t
}

func readTransport(user *http.Client) http.RoundTripper {
	t, foreign := transport(user)
	if foreign != nil {
		return foreign
	}
	t.ResponseHeaderTimeout = 30 * time.Second
	t.MaxConnsPerHost = 32
	t.MaxIdleConnsPerHost = 32
	t.IdleConnTimeout = 90 * time.Second
	return t
}

// transport returns a fresh transport with the limits that both paths share,
// or the user's own if that is none of net/http.
func transport(user *http.Client) (*http.Transport, http.RoundTripper) {
	var t *http.Transport
	if user == nil || user.Transport == nil {
		t = &http.Transport{
			DialContext:       (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2: true,
		}
	} else if theirs, ok := user.Transport.(*http.Transport); ok {
		t = theirs.Clone()
	} else {
		return nil, user.Transport
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	t.TLSHandshakeTimeout = 10 * time.Second
	t.MaxResponseHeaderBytes = 64 << 10
	t.DisableCompression = true // An unasked gzip is an error, not a bomb.
	return t, nil
}
