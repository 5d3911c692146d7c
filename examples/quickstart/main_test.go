package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
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
	require.NoError(t, os.WriteFile(path, []byte("reference,account,amount,currency\ninvoice-1,customer-ada,5,GBP\n"),
		0o600))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-file", path, "-direction", "collect", "-reference", "77"},
		nothing, &out))
	require.Contains(t, out.String(), "Running 1 items of "+path)
	require.Contains(t, out.String(), "1 paid, 5.00 GBP")
}

func TestABadFileIsRefusedByLine(t *testing.T) {
	const header = "reference,account,amount,currency\n"
	for name, c := range map[string]struct{ text, want string }{
		"what cannot be read": {header + "a,b,1.005,GBP\nc,\"d,1,GBP\ne,f\",1,GBP\n", "run.csv cannot be sent:\n" +
			"line 2, column amount: \"1.005\" is not an amount: a decimal number with at most 2 decimals would be right\n" +
			"line 3, column account: holds a line break: close its quote on the same line"},
		"what the service does not take": {header + "a,customer-ada,1.00,GBP\n\nc,customer-cyd,0,GBP\n",
			"line 4, column amount: \"0.00 GBP\" must be more than zero"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run.csv")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			var out bytes.Buffer
			err := run(t.Context(), []string{"-file", path, "-direction", "collect"}, nothing, &out)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, out.String(), "submit", "nothing is sent of a bad file")
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

func TestNothingIsSentWithoutLive(t *testing.T) {
	for _, s := range services {
		for _, value := range []string{"", "0", "true"} {
			environment := map[string]string{"BATCHWAY_LIVE": value}
			for _, variable := range s.variables {
				environment[variable] = "canary"
			}
			if len(s.variables) == 0 && value == "" {
				continue // That is the simulator.
			}
			var out bytes.Buffer
			err := run(t.Context(), []string{"-provider", s.name}, func(name string) string {
				return environment[name]
			}, &out)
			require.ErrorContains(t, err, "BATCHWAY_LIVE")
			require.NotContains(t, err.Error(), "canary")
			require.Empty(t, out.String(), s.name)
		}
	}
}

func TestLiveWithoutAnAccountIsAMistake(t *testing.T) {
	for _, s := range services {
		var out bytes.Buffer
		err := run(t.Context(), []string{"-provider", s.name}, func(name string) string {
			return map[string]string{"BATCHWAY_LIVE": "1"}[name]
		}, &out)
		require.ErrorContains(t, err, "BATCHWAY_LIVE")
		for _, variable := range s.variables {
			require.ErrorContains(t, err, variable)
		}
		require.Empty(t, out.String(), s.name)
	}
}

func TestProductionIsRefused(t *testing.T) {
	environment := map[string]string{"BATCHWAY_LIVE": "1", "CITYPAY_CLIENT_ID": "PC1", "CITYPAY_LICENCE_KEY": "canary",
		"CITYPAY_MERCHANT_ID": "1",
		"SIXDOTFIFTY_KEY":     "key", "SIXDOTFIFTY_SECRET": "canary"}
	for name, hosts := range map[string][]string{
		"citypay": {"api.citypay.com", "API.citypay.com", "api.citypay.com:443", "api.citypay.com.",
			"api.citypay.com.:443", "citypay.com", "192.0.2.1", "[2001:db8::1]"},
		"sixdotfifty": {"api.6dot50.com", "API.6DOT50.com", "api.6dot50.com:443", "api.6dot50.com.", "pay.6dot50.com",
			"6dot50.com", "pay.example.test",
			"api.staging.6dot50.com.example.test", "192.0.2.1"},
	} {
		for _, host := range hosts {
			for _, path := range []string{"", "/", "/za/pay", "/za/pay/"} {
				environment["CITYPAY_BASE_URL"], environment["SIXDOTFIFTY_BASE_URL"] = "https://"+host+path,
					"https://"+host+path
				var out bytes.Buffer
				err := run(t.Context(), []string{"-provider", name}, func(name string) string {
					return environment[name]
				}, &out)
				require.ErrorContains(t, err, "may be production", host+path)
				require.NotContains(t, err.Error(), "canary")
				require.Empty(t, out.String())
			}
		}
	}
}

func TestMistakesInTheCommandLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.csv")
	require.NoError(t, os.WriteFile(path, []byte("reference,account,amount,currency\ninvoice-1,customer-ada,5,GBP\n"),
		0o600))
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"a file without -file":        {[]string{path}, "run.csv\" is not known: a CSV file is named with -file", 2},
		"an argument after the flags": {[]string{"-provider", "citypay", "now"}, `"now" is not known`, 2},
		"an unknown flag":             {[]string{"-nonsense"}, "-nonsense", 2},
		"an unknown provider":         {[]string{"-provider", "paypal"}, `the provider "paypal" is not known`, 2},
		"a file without a direction":  {[]string{"-file", path}, "-file needs -direction", 2},
		"another direction": {[]string{"-file", path, "-direction", "pay"},
			`-direction is "pay", but the direction of citypay is "collect"`, 2},
		"an unknown direction": {[]string{"-direction", "charge"}, `-direction is "charge"`, 2},
		"no such file":         {[]string{"-file", "/no/such/file", "-direction", "collect"}, "/no/such/file", 1},
		"a bad reference":      {[]string{"-reference", "a b"}, "reference", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), c.args, nothing, &out)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.code, exitCode(err))
			require.NotContains(t, out.String(), "paid")
		})
	}
	var help bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-h"}, nothing, &help))
	require.Contains(t, help.String(), "-provider")
	for _, variable := range slices.Concat(cityPay.variables, centraPay.variables, sixDotFifty.variables) {
		require.Contains(t, help.String(), variable)
	}
}

func TestCtrlCBeforeAnythingIsSent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, nil, nothing, new(bytes.Buffer)), context.Canceled)
}
