package citypay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// GenerateDomainKeyRequest asks for a key with which pages of some domains may
// call CityPay from a browser.
type GenerateDomainKeyRequest struct {
	Domains    []string `json:"domain"` // at least one
	MerchantID int64    `json:"merchantid"`
	Live       bool     `json:"live"`            // false: the key is for tests
	Nonce      string   `json:"nonce,omitempty"` // optional: hexadecimal
}

// DomainKey is a key for browsers, and what it allows.
type DomainKey struct {
	DateCreated Text     `json:"date_created,omitempty"`
	Domains     []string `json:"domain"`
	DomainKey   Secret   `json:"-"`              // its rights follow those of the client that made it
	Live        Text     `json:"live,omitempty"` // "true" or "false"
	MerchantID  int64    `json:"merchantid"`
}

type registerIPRequest struct {
	IP      string `json:"ip,omitempty"`
	Expires int64  `json:"exp,omitempty"`
}

// The longest that an address can be registered for (documented).
const maxRegistered = 720 * time.Hour

var (
	hexadecimal = regexp.MustCompile(`^[0-9A-Fa-f]*$`)
	domainName  = regexp.MustCompile(`^[A-Za-z0-9.*-]{1,253}$`)
	domainKey   = regexp.MustCompile(`^[!-~]{64,512}$`)
)

// RegisterTempIP lets an IPv4 address call CityPay with your credentials until a
// time, at most 720 hours from now. An empty address means the caller's, and a
// zero time 12 hours from now. It moves no money, but widens who may: call it
// only when a person asks for it. It is sent at most once; on ErrAmbiguous, ask
// CheckACL. Which code means success is not documented: 000 and 001 are returned
// without an error.
//
//	POST /v6/permissions/register-temp-ip
func (c *Client) RegisterTempIP(ctx context.Context, ip string, until time.Time) (*Acknowledgement, error) {
	var faults faults
	if address, err := netip.ParseAddr(ip); ip != "" && (err != nil || !address.Is4()) {
		faults.add("ip", "must be an IPv4 address")
	}
	r := registerIPRequest{IP: ip}
	if !until.IsZero() {
		r.Expires = until.Unix()
		if ahead := time.Until(until); ahead <= 0 || ahead > maxRegistered {
			faults.add("exp", "must be in the future, and at most 720 hours ahead")
		}
	}
	return c.acknowledged(ctx, batchhttp.Call{Op: opRegisterTempIP}, r, faults, "000", "001")
}

// GenerateDomainKey makes a key for browsers, which is a credential. It moves no
// money. It is sent at most once, because each request makes another key. On
// ErrAmbiguous, CityPay may have made a key that is lost: keys cannot be listed.
//
//	POST /dk/gen
func (c *Client) GenerateDomainKey(ctx context.Context, r GenerateDomainKeyRequest) (*DomainKey, error) {
	var faults faults
	if len(r.Domains) == 0 {
		faults.add("domain", "give at least one")
	}
	for n, domain := range r.Domains {
		faults.match(fmt.Sprintf("domain[%d]", n), domain, domainName, "must be a domain name")
	}
	faults.id("merchantid", r.MerchantID)
	faults.match("nonce", r.Nonce, hexadecimal, "must be hexadecimal")
	return read(ctx, c, batchhttp.Call{Op: opGenerateDomainKey}, r, faults, func(k *DomainKey, body reader) error {
		if err := k.decode(body); err != nil {
			return err
		}
		switch {
		case !domainKey.MatchString(k.DomainKey.Reveal()):
			return errMissing("domain_key of 64 to 512 characters")
		case k.MerchantID != r.MerchantID || !slices.Equal(k.Domains, r.Domains):
			return errors.New("the reply is about another key")
		}
		return nil
	})
}

// CheckDomainKey reads what a key for browsers allows. It moves no money.
//
//	POST /dk/check
func (c *Client) CheckDomainKey(ctx context.Context, key Secret) (*DomainKey, error) {
	var faults faults
	faults.match("domain_key", key.Reveal(), domainKey, "must be 64 to 512 printable ASCII characters without spaces")
	wire := struct {
		DomainKey string `json:"domain_key"`
	}{key.Reveal()}
	call := batchhttp.Call{Op: opCheckDomainKey, Secrets: []Secret{key}}
	return read(ctx, c, call, wire, faults, func(k *DomainKey, body reader) error {
		if err := k.decode(body); err != nil {
			return err
		}
		if came := k.DomainKey.Reveal(); came != "" && came != key.Reveal() {
			return errors.New("the reply is about another key")
		}
		return nil
	})
}

func (k *DomainKey) decode(body reader) error {
	var wire struct {
		DateCreated Text                           `json:"date_created"`
		Domains     []string                       `json:"domain"`
		DomainKey   batchhttp.Maybe[string]        `json:"domain_key"`
		Live        Text                           `json:"live"`
		MerchantID  batchhttp.Maybe[batchhttp.Int] `json:"merchantid"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
		return err
	}
	switch {
	case len(wire.Domains) == 0:
		return errMissing("domain")
	case !wire.MerchantID.OK:
		return errMissing("merchantid")
	}
	key := NewSecret(wire.DomainKey.Value)
	*k = DomainKey{wire.DateCreated, wire.Domains, key, wire.Live, int64(wire.MerchantID.Value)}
	return nil
}
