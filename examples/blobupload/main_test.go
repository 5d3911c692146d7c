package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, func(string) string { return "" }, &out); err != nil {
		t.Fatal(err)
	}
	want := `asset-1 10.00 NZD paid ""
asset-2 25.50 NZD failed "ACCOUNT_NOT_FOUND"
asset-3 0.00 NZD paid ""
`
	if got := out.String(); got != want {
		t.Errorf("it printed\n%s\nand should print\n%s", got, want)
	}
}

func TestHalfAnEnvironment(t *testing.T) {
	err := run(t.Context(), nil, func(name string) string {
		if name == "CENTRAPAY_API_KEY" {
			return "canary-7f3a"
		}
		return ""
	}, new(bytes.Buffer))
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("half of the variables gave %v; it must be an error that names them", err)
	}
}
