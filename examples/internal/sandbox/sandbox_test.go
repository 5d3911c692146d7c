package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func live(string) string { return "1" }

func TestOnlySandboxesAreAllowed(t *testing.T) {
	for _, url := range []string{"https://sandbox.example.test", "https://SANDBOX.example.test.:443/v1/",
		"https://eu.sandbox.example.test/v1",
		"http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080"} {
		require.NoError(t, Check(live, url, "sandbox.example.test"), url)
	}
}

func TestEverySpellingOfProductionIsRefused(t *testing.T) {
	for _, url := range []string{"https://api.example.test", "https://api.example.test/", "https://API.Example.TEST",
		"https://api.example.test:443",
		"https://api.example.test.", "https://api.example.test.:443/v1/", "https://192.0.2.7", "https://[2001:db8::7]",
		"https://example.test",
		"https://notsandbox.example.test", "https://sandbox.example.test.example.com"} {
		require.ErrorContains(t, Check(live, url, "sandbox.example.test"), "may be production", url)
	}
	for _, url := range []string{"", "api.example.test", "http://sandbox.example.test",
		"https://user:canary@sandbox.example.test", "https://%31.example.test"} {
		err := Check(live, url, "sandbox.example.test")
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestNothingIsAllowedWithoutLive(t *testing.T) {
	for _, value := range []string{"", "0", "true"} {
		err := Check(func(name string) string { return map[string]string{Live: value}[name] }, "http://127.0.0.1:8080")
		require.ErrorContains(t, err, "BATCHWAY_LIVE must be 1")
	}
}
