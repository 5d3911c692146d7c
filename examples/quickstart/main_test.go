package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func nothing(string) string { return "" }

func TestQuickstart(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), []string{"-provider", s.name}, nothing, &out))
			want, err := os.ReadFile(filepath.Join("testdata", s.name+".txt"))
			require.NoError(t, err)
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("the output is not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuickstartReadsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.csv")
	require.NoError(t, os.WriteFile(path, []byte("reference,account,amount,currency\ninvoice-1,customer-ada,5,GBP\n"), 0o600))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-file", path, "-reference", "77"}, nothing, &out))
	require.Contains(t, out.String(), "Running 1 items of "+path)
	require.Contains(t, out.String(), "1 paid, 5.00 GBP")
}

func TestBadRowsAreRefusedTogether(t *testing.T) {
	const header = "reference,account,amount,currency\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":          {"", []string{"line 1: cannot be read"}},
		"no rows":          {header, []string{"there are no rows"}},
		"another header":   {"ref,account,amount,currency\n", []string{"line 1: the columns must be reference,account,amount,currency"}},
		"too few columns":  {header + "a,b,1.00\n", []string{"line 2: has 3 columns instead of 4"}},
		"an unclosed text": {header + "\"a,b,1.00,GBP\n", []string{"line 2"}},
		"many faults": {header + "a,b,1.005,GBP\n\n,b,1.00,GBP\nc,d,ten,GBP\ne,f,1.00,gbp\ng,h,0,GBP\na,b,-1,GBP\n", []string{
			"line 2, column amount: \"1.005\" has more than 2 decimal places",
			"line 4, column reference: is empty",
			"line 5, column amount: \"ten\" is no decimal number",
			"line 6, column currency: \"gbp\" is no ISO 4217 currency code",
			"line 7, column amount: must be more than zero",
			"line 8, column amount: must be more than zero",
			"line 8, column reference: is also that of line 2",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run.csv")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			var out bytes.Buffer
			err := run(t.Context(), []string{"-file", path}, nothing, &out)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.Empty(t, out.String(), "nothing is begun with a bad file")
		})
	}
}

func TestAnIncompleteEnvironmentIsAMistake(t *testing.T) {
	for _, s := range services {
		if len(s.variables) == 0 {
			continue // It has no sandbox.
		}
		some := func(name string) string {
			if name == s.variables[0] {
				return "canary"
			}
			return ""
		}
		err := run(t.Context(), []string{"-provider", s.name}, some, new(bytes.Buffer))
		for _, missing := range s.variables[1:] {
			require.ErrorContains(t, err, missing)
		}
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestProductionIsRefused(t *testing.T) {
	for name, environment := range map[string]map[string]string{
		"citypay": {"CITYPAY_CLIENT_ID": "PC1", "CITYPAY_LICENCE_KEY": "canary", "CITYPAY_MERCHANT_ID": "1",
			"CITYPAY_BASE_URL": "https://API.citypay.com:443/"},
		"sixdotfifty": {"SIXDOTFIFTY_KEY": "key", "SIXDOTFIFTY_SECRET": "canary", "SIXDOTFIFTY_BASE_URL": "https://api.6dot50.com/za/pay"},
	} {
		err := run(t.Context(), []string{"-provider", name}, func(name string) string { return environment[name] }, new(bytes.Buffer))
		require.ErrorContains(t, err, "is production")
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestMistakesInTheFlags(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"-provider", "paypal"}, nothing, new(bytes.Buffer)), `there is no provider "paypal"`)
	require.ErrorContains(t, run(t.Context(), []string{"-file", "/no/such/file"}, nothing, new(bytes.Buffer)), "no such file")
	require.ErrorContains(t, run(t.Context(), []string{"-reference", "a b"}, nothing, new(bytes.Buffer)), "reference")
	require.Error(t, run(t.Context(), []string{"-nonsense"}, nothing, new(bytes.Buffer)))
	var help bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-h"}, nothing, &help))
	require.True(t, strings.Contains(help.String(), "-provider"))
}

func TestCtrlCBeforeAnythingIsSent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, nil, nothing, new(bytes.Buffer)), context.Canceled)
}
