package centrapay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Onboarding is one business with its merchant and channels. What is empty is
// not sent.
type Onboarding struct {
	// yours, up to 35 characters: it makes a repeated request harmless
	ExternalID  string    `json:"externalId"`
	NZBN        string    `json:"nzbn,omitempty"`
	LegalName   string    `json:"legalName"`
	TradingName string    `json:"tradingName,omitempty"`
	Location    *Location `json:"location,omitempty"`
	// gets an invitation, also in a test account as far as is known
	ContactEmail string            `json:"contactEmail"`
	ContactName  string            `json:"contactName,omitempty"`
	TaxNumber    *TaxNumber        `json:"taxNumber,omitempty"`
	Merchant     OnboardMerchant   `json:"merchant"`
	AssetProgram AssetProgram      `json:"assetProgram"`
	Channels     []SalesChannel    `json:"salesChannels,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// Location is an address.
type Location struct {
	Street   string `json:"street"`
	Suburb   string `json:"suburb,omitempty"`
	City     string `json:"city"`
	State    string `json:"state,omitempty"`
	PostCode string `json:"postCode,omitempty"`
	Country  string `json:"country"` // "NZ"
}

// TaxNumber is a tax number of a business.
type TaxNumber struct {
	Value string `json:"value"` // "123-456-789"
	Type  string `json:"type"`  // "nz-gst"
}

// OnboardMerchant is the merchant of a business.
type OnboardMerchant struct {
	Name         string    `json:"name"`
	CategoryCode string    `json:"categoryCode"` // four digits of ISO 18245
	Type         string    `json:"type"`         // physical or e-commerce
	ContactName  string    `json:"contactName,omitempty"`
	ContactEmail string    `json:"contactEmail,omitempty"`
	ContactPhone string    `json:"contactPhone,omitempty"`
	Location     *Location `json:"location,omitempty"` // required if Type is physical
}

// AssetProgram says with which assets customers pay, and who gets the money.
type AssetProgram struct {
	ID     string `json:"assetProgramId"`
	Params struct {
		SettlementAccountNumber string `json:"settlementAccountNumber"` // "12-3456-7890123-00": the money goes there
		ChargeAccountNumber     string `json:"chargeAccountNumber,omitempty"`
		ExternalMerchantID      string `json:"externalMerchantId"`
	} `json:"params"`
}

// SalesChannel is a terminal or a shop.
type SalesChannel struct {
	Params struct {
		Vendor       string `json:"vendor"`
		Reseller     string `json:"reseller,omitempty"`
		DeviceID     string `json:"deviceId"`
		SerialNumber string `json:"serialNumber,omitempty"`
		DeviceModel  string `json:"deviceModel,omitempty"`
	} `json:"params"`
}

// OnboardingRequest is what the service makes of an Onboarding, in the
// background. The status "pending" is the only one that is documented.
type OnboardingRequest struct {
	Onboarding
	ID        string `json:"id"`
	Status    Text   `json:"status,omitempty"`
	CreatedAt Text   `json:"createdAt,omitempty"`
	CreatedBy Text   `json:"createdBy,omitempty"`
}

// OnboardBusiness asks for one business. It decides to which account money is
// settled, and sends a real person an invitation. It is sent at most once; after
// an ErrAmbiguous send the very same again: the service answers with the request
// that it has (documented), which is the only way to look for it.
//
// Another payload with the same ExternalID is ErrConflict
// (DUPLICATE_EXTERNAL_ID). An asset program or a channel that the service does
// not know is ErrInvalid. A reply that shows another external id or settlement
// account than was sent is ErrAmbiguous, and is returned beside it.
//
//	POST /api/businesses/onboard
func (c *Client) OnboardBusiness(ctx context.Context, o Onboarding) (*OnboardingRequest, error) {
	op := opOnboardBusiness
	if err := batch.Invalid(name, op.Name, o.faults()); err != nil {
		return nil, err
	}
	body, err := marshal(o)
	if err != nil {
		return nil, &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: op.Name, Err: err}
	}
	var made *OnboardingRequest
	err = c.http.Do(ctx, batchhttp.Call{Op: op, ContentType: "application/json", Body: body,
		Refusal: refusals{
			{http.StatusForbidden, "DUPLICATE_EXTERNAL_ID", batch.ErrConflict},
			{http.StatusForbidden, "INVALID_ASSET_PROGRAM", batch.ErrInvalid},
			{http.StatusForbidden, "INVALID_SALES_CHANNEL", batch.ErrInvalid},
		}.read,
		Decode: func(body io.Reader) error {
			got, err := onboarding(body)
			if err != nil {
				return err
			}
			made = got
			switch {
			case got.ExternalID != o.ExternalID:
				return errors.New("the reply shows another external id than was sent")
			case got.AssetProgram.Params.SettlementAccountNumber != o.AssetProgram.Params.SettlementAccountNumber:
				return errors.New("the reply shows another settlement account than was sent")
			}
			return nil
		}})
	return made, withoutURL(err, "")
}

// GetOnboarding reads what OnboardBusiness has asked for.
//
//	GET /api/businesses/onboard/{id}
func (c *Client) GetOnboarding(ctx context.Context, id string) (*OnboardingRequest, error) {
	var found *OnboardingRequest
	err := c.read(ctx, batchhttp.Call{Op: opGetOnboarding, Params: []string{id}, Decode: func(body io.Reader) error {
		got, err := onboarding(body)
		if err == nil && got.ID != id {
			err = errors.New("the reply is about another request")
		}
		if found = got; err != nil {
			found = nil
		}
		return err
	}})
	return found, err
}

func onboarding(body io.Reader) (*OnboardingRequest, error) {
	var got *OnboardingRequest
	err := batchhttp.JSON(&got)(body)
	switch {
	case err != nil:
		return nil, err
	case got == nil || got.ID == "":
		return nil, errors.New("the reply has no id of a request")
	}
	return got, nil
}

var (
	// both lengths of the end are in samples
	bankAccount = regexp.MustCompile(`^[0-9]{2}-[0-9]{4}-[0-9]{7}-[0-9]{2,3}$`)
	gstNumber   = regexp.MustCompile(`^[0-9]{3}-[0-9]{3}-[0-9]{3}$`)
	fourDigits  = regexp.MustCompile(`^[0-9]{4}$`)
	nzbn        = regexp.MustCompile(`^[0-9]{13}$`)
	postCode    = regexp.MustCompile(`^[0-9]{4,10}$`)
	country     = regexp.MustCompile(`^[A-Z]{2}$`)
)

// onboardFaults are what the documentation refuses.
type onboardFaults []batch.FieldError

func (f *onboardFaults) add(field, format string, args ...any) {
	*f = append(*f, batch.FieldError{Item: -1, Field: field, Message: fmt.Sprintf(format, args...)})
}

// length checks a text of least to most characters; least 0 means that it is optional.
func (f *onboardFaults) length(field, value string, must bool, least, most int) {
	n := utf8.RuneCountInString(value)
	if value == "" && !must {
		return
	}
	if n < least || n > most {
		f.add(field, "must have %d to %d characters; it has %d", least, most, n)
	}
	text(func(field, message string) { f.add(field, "%s", message) }, field, value)
}

func (f *onboardFaults) match(field, value string, must bool, form *regexp.Regexp, words string) {
	if (value != "" || must) && !form.MatchString(value) {
		f.add(field, "%s", words)
	}
}

func (f *onboardFaults) email(field, value string, must bool) {
	if value == "" && !must {
		return
	}
	if a, err := mail.ParseAddress(value); err != nil || a.Address != value {
		f.add(field, "must be an e-mail address")
	}
}

func (f *onboardFaults) location(field string, l *Location) {
	f.length(field+".street", l.Street, true, 1, 255)
	f.length(field+".suburb", l.Suburb, false, 1, 255)
	f.length(field+".city", l.City, true, 1, 255)
	f.length(field+".state", l.State, false, 1, 255)
	f.match(field+".postCode", l.PostCode, false, postCode, "must be 4 to 10 digits")
	f.match(field+".country", l.Country, true, country, "must be two capital letters")
}

func (o Onboarding) faults() []batch.FieldError {
	var f onboardFaults
	const account = "must be a bank account such as 12-3456-7890123-00"
	f.length("externalId", o.ExternalID, true, 1, 35)
	f.match("nzbn", o.NZBN, false, nzbn, "must be 13 digits")
	f.length("legalName", o.LegalName, true, 3, 100)
	f.length("tradingName", o.TradingName, false, 3, 100)
	if o.Location != nil {
		f.location("location", o.Location)
	}
	f.email("contactEmail", o.ContactEmail, true)
	f.length("contactName", o.ContactName, false, 3, 100)
	if o.TaxNumber != nil {
		f.match("taxNumber.value", o.TaxNumber.Value, true, gstNumber, "must be a number such as 123-456-789")
		if o.TaxNumber.Type != "nz-gst" {
			f.add("taxNumber.type", "must be nz-gst")
		}
	}
	m := o.Merchant
	f.length("merchant.name", m.Name, true, 2, 100)
	f.match("merchant.categoryCode", m.CategoryCode, true, fourDigits, "must be 4 digits")
	switch {
	case m.Type != "physical" && m.Type != "e-commerce":
		f.add("merchant.type", "must be physical or e-commerce")
	case m.Type == "physical" && m.Location == nil:
		f.add("merchant.location", "is required if the merchant is physical")
	}
	f.length("merchant.contactName", m.ContactName, false, 3, 100)
	f.email("merchant.contactEmail", m.ContactEmail, false)
	f.length("merchant.contactPhone", m.ContactPhone, false, 1, 20)
	if m.Location != nil {
		f.location("merchant.location", m.Location)
	}
	p := o.AssetProgram.Params
	f.length("assetProgram.assetProgramId", o.AssetProgram.ID, true, 1, 35)
	f.match("assetProgram.settlementAccountNumber", p.SettlementAccountNumber, true, bankAccount, account)
	f.match("assetProgram.chargeAccountNumber", p.ChargeAccountNumber, false, bankAccount, account)
	f.length("assetProgram.externalMerchantId", p.ExternalMerchantID, true, 1, 35)
	for n, channel := range o.Channels {
		field := func(name string) string { return fmt.Sprintf("salesChannels[%d].%s", n, name) }
		f.length(field("vendor"), channel.Params.Vendor, true, 3, 100)
		f.length(field("reseller"), channel.Params.Reseller, false, 3, 100)
		f.length(field("deviceId"), channel.Params.DeviceID, true, 1, 35)
		f.length(field("serialNumber"), channel.Params.SerialNumber, false, 1, 35)
		f.length(field("deviceModel"), channel.Params.DeviceModel, false, 3, 100)
	}
	if len(o.Metadata) > 10 {
		f.add("metadata", "must have at most 10 entries; it has %d", len(o.Metadata))
	}
	for _, key := range slices.Sorted(maps.Keys(o.Metadata)) {
		f.length("metadata", key, true, 1, 100)
		f.length("metadata."+strings.ToValidUTF8(clip(key), "?"), o.Metadata[key], false, 1, 500)
	}
	return f
}
