package main

import (
	"bytes"
	"slices"
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
	const bucket = "mem://"
	whole := map[string]string{"BATCHWAY_LIVE": "0", "CENTRAPAY_API_KEY": "canary-7f3a",
		"CENTRAPAY_ACCOUNT_ID": "canary-account"}
	for name, c := range map[string]struct {
		set  []string
		args []string
	}{
		"only live":  {[]string{"BATCHWAY_LIVE"}, nil},
		"only a key": {[]string{"CENTRAPAY_API_KEY"}, nil},
		"no live":    {[]string{"CENTRAPAY_API_KEY", "CENTRAPAY_ACCOUNT_ID"}, []string{"-bucket", bucket}},
		"no bucket":  {[]string{"BATCHWAY_LIVE", "CENTRAPAY_API_KEY", "CENTRAPAY_ACCOUNT_ID"}, nil},
		"live is not 1": {[]string{"BATCHWAY_LIVE", "CENTRAPAY_API_KEY", "CENTRAPAY_ACCOUNT_ID"},
			[]string{"-bucket", bucket}},
	} {
		err := run(t.Context(), c.args, func(name string) string {
			if slices.Contains(c.set, name) {
				return whole[name]
			}
			return ""
		}, new(bytes.Buffer))
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "BATCHWAY_LIVE") {
			t.Errorf("%s: it gave %v; it must be an error that names BATCHWAY_LIVE", name, err)
		}
	}
}

func TestUnknownArguments(t *testing.T) {
	if err := run(t.Context(), []string{"s3://bucket"}, func(string) string {
		return ""
	}, new(bytes.Buffer)); err == nil {
		t.Error("an argument without a flag must be an error")
	}
}
