package batchhttp

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// A base URL has one canonical form, by which accounts are named and hosts are
// compared: lower-case scheme and host, no default port, no dot or slash at
// the end, and "localhost" for every loopback host.

// Canonical returns the canonical form of a base URL.
func Canonical(baseURL string) (string, error) {
	base, fault := parseBase(baseURL)
	if fault != "" {
		return "", errors.New("the base URL " + fault)
	}
	return canonical(base), nil
}

// BaseURL is the canonical form of the URL that the client speaks to.
func (c *Client) BaseURL() string { return c.name }

// Environment names what the client speaks to, for accounts: by the name that
// known has for its base URL, and otherwise by host and path. A host that is
// called like one of the names is named by its whole URL.
func (c *Client) Environment(known map[string]string) string {
	if name, ok := known[c.name]; ok {
		return name
	}
	_, place, _ := strings.Cut(c.name, "://")
	host, _, _ := strings.Cut(place, "/")
	for _, name := range known {
		if name == host {
			return c.name
		}
	}
	return place
}

// Host is the host and port of BaseURL: "sandbox.citypay.com".
func (c *Client) Host() string { return canonicalHost(c.base) }

const hostLetters = "abcdefghijklmnopqrstuvwxyz0123456789.-_:"

// parseBase reads a base URL, in its canonical form but for loopback hosts,
// which must stay what the user's listener is bound to. A fault does not
// repeat the URL, which may hold a password.
func parseBase(s string) (base *url.URL, fault string) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return nil, "must be a URL with a host"
	}
	host := strings.TrimRight(strings.ToLower(u.Hostname()), ".")
	ip, ipErr := netip.ParseAddr(host)
	if ipErr == nil {
		host = ip.String()
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	base = &url.URL{Scheme: u.Scheme, Host: host, Path: strings.TrimRight(u.Path, "/")}
	if strings.Contains(host, ":") {
		base.Host = "[" + host + "]"
	}
	switch {
	case host == "" || strings.Contains(host, ":") && ipErr != nil || strings.Trim(host, hostLetters) != "":
		return nil, "must have a host of ASCII letters, digits, dots and hyphens (punycode for others)"
	case u.Port() != "" && (portErr != nil || port == 0):
		return nil, "must have a port from 1 to 65535, or none"
	case u.User != nil:
		return nil, "must not hold a user name or password"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#"):
		return nil, "must not hold a query or a fragment"
	case u.RawPath != "" || base.Path != "" && path.Clean(base.Path) != base.Path:
		return nil, "must have a path without empty parts, dots and unusual escapes"
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(host)):
		return nil, "must be https (http is for loopback hosts)"
	}
	if usual := u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80; u.Port() != "" && !usual {
		base.Host += ":" + strconv.FormatUint(port, 10)
	}
	return base, ""
}

func canonical(base *url.URL) string {
	return base.Scheme + "://" + canonicalHost(base) + base.EscapedPath()
}

func canonicalHost(base *url.URL) string {
	if !loopback(base.Hostname()) {
		return base.Host
	}
	if port := base.Port(); port != "" {
		return "localhost:" + port
	}
	return "localhost"
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
