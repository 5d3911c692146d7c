package batchhttp

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	onceHeader       = 2 * time.Minute // a service may process before it answers
	readHeader       = 30 * time.Second
	maxHeader        = 64 << 10
	maxReadConns     = 32
)

// transports returns the transports of the two paths, or what is wrong with
// the user's. They take the proxy, the dialer and the certificates of the
// user's transport; everything else is ours, and reads no environment.
//
// A request has a connection of its own. net/http sends again what broke on a
// kept connection or on HTTP/2, and gives the reply that a proxy sends twice
// to the next request on the same connection, which may ask for another batch.
func transports(user *http.Client) (once, reads *http.Transport, fault string) {
	theirs := new(http.Transport)
	if user != nil && user.Transport != nil {
		given, ok := user.Transport.(*http.Transport)
		if !ok {
			return nil, nil,
				"Transport must be nil or an *http.Transport; Config.Middleware takes any other RoundTripper"
		}
		if given != nil {
			theirs = given
		}
	}
	config := theirs.TLSClientConfig
	switch {
	case theirs.DialTLSContext != nil || theirs.DialTLS != nil: //nolint:staticcheck // A user may still set it.
		return nil, nil, "DialTLSContext must be nil: use DialContext and TLSClientConfig"
	case theirs.Dial != nil: //nolint:staticcheck // The same.
		return nil, nil, "Dial must be nil: use DialContext"
	case config != nil && config.InsecureSkipVerify && config.VerifyConnection == nil:
		return nil, nil, "InsecureSkipVerify must not be set: add the service's certificate to RootCAs"
	}
	once, reads = transport(theirs), transport(theirs)
	once.ResponseHeaderTimeout = onceHeader
	reads.ResponseHeaderTimeout = readHeader
	reads.MaxConnsPerHost = maxReadConns
	return once, reads, ""
}

// transport returns what both paths have in common.
func transport(theirs *http.Transport) *http.Transport {
	t := &http.Transport{
		Proxy:                  theirs.Proxy,
		ProxyConnectHeader:     theirs.ProxyConnectHeader.Clone(),
		GetProxyConnectHeader:  theirs.GetProxyConnectHeader,
		OnProxyConnectResponse: theirs.OnProxyConnectResponse,
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true,
		DisableCompression:     true, // An unasked gzip is an error, not a bomb.
		Protocols:              new(http.Protocols),
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig:        new(tls.Config),
	}
	t.Protocols.SetHTTP1(true)
	if theirs.TLSClientConfig != nil {
		t.TLSClientConfig = theirs.TLSClientConfig.Clone()
	}
	t.TLSClientConfig.NextProtos = nil // HTTP/1.1 needs no negotiation.
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	dial := theirs.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
	return t
}
