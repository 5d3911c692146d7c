// Package sandbox keeps the examples from moving real money.
package sandbox

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Live is the variable that must be 1 before an example sends anything to a
// service.
const Live = "BATCHWAY_LIVE"

// Check returns an error unless Live is 1 and baseURL is on one of the hosts,
// on a host below one of them, or on this machine. An example refuses all other
// hosts: any name or address could be another spelling of production.
func Check(getenv func(string) string, baseURL string, hosts ...string) error {
	if getenv(Live) != "1" {
		return fmt.Errorf("%s must be 1: it allows this program to send requests to a service", Live)
	}
	canonical, err := batchhttp.Canonical(baseURL)
	if err != nil {
		return err
	}
	u, err := url.Parse(canonical)
	if err != nil {
		return errors.New("the base URL is not a valid URL")
	}
	host := u.Hostname()
	for _, allowed := range append(hosts, "localhost") {
		if host == allowed || strings.HasSuffix(host, "."+allowed) {
			return nil
		}
	}
	return fmt.Errorf("%s may be production, where real money moves: examples send only to %s and to this machine",
		host, strings.Join(hosts, ", "))
}
