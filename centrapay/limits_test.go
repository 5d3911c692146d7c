package centrapay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
)

// Every limit that Centrapay documents of a call around the batch, each tried at
// the limit, which is sent, and one beyond, which is refused by name before a
// request. Lengths count characters and not bytes.
func TestLimits(t *testing.T) {
	server, client := startClient(t, nil)
	wide := func(n int) string { return strings.Repeat("é", n) }
	digits := func(n int) string { return strings.Repeat("1", n) }
	type onboarding = centrapay.Onboarding
	entries := func(n int) map[string]string {
		all := make(map[string]string)
		for i := range n {
			all[fmt.Sprint(i)] = "x"
		}
		return all
	}
	var texts = map[string]struct {
		least, most int
		text        func(int) string
		set         func(*onboarding, string)
	}{
		"externalId":  {0, 35, wide, func(o *onboarding, s string) { o.ExternalID = s }},
		"nzbn":        {13, 13, digits, func(o *onboarding, s string) { o.NZBN = s }},
		"legalName":   {3, 100, wide, func(o *onboarding, s string) { o.LegalName = s }},
		"tradingName": {3, 100, wide, func(o *onboarding, s string) { o.TradingName = s }},
		"contactName": {3, 100, wide, func(o *onboarding, s string) { o.ContactName = s }},

		"location.street":   {1, 255, wide, func(o *onboarding, s string) { o.Location.Street = s }},
		"location.suburb":   {0, 255, wide, func(o *onboarding, s string) { o.Location.Suburb = s }},
		"location.city":     {1, 255, wide, func(o *onboarding, s string) { o.Location.City = s }},
		"location.state":    {0, 255, wide, func(o *onboarding, s string) { o.Location.State = s }},
		"location.postCode": {4, 10, digits, func(o *onboarding, s string) { o.Location.PostCode = s }},

		"merchant.name":         {2, 100, wide, func(o *onboarding, s string) { o.Merchant.Name = s }},
		"merchant.categoryCode": {4, 4, digits, func(o *onboarding, s string) { o.Merchant.CategoryCode = s }},
		"merchant.contactName":  {3, 100, wide, func(o *onboarding, s string) { o.Merchant.ContactName = s }},
		"merchant.contactPhone": {0, 20, digits, func(o *onboarding, s string) { o.Merchant.ContactPhone = s }},
		"merchant.location.street": {1, 255, wide, func(o *onboarding, s string) {
			o.Merchant.Location.Street = s
		}},
		"merchant.location.postCode": {4, 10, digits, func(o *onboarding, s string) {
			o.Merchant.Location.PostCode = s
		}},

		"assetProgram.assetProgramId": {1, 35, wide, func(o *onboarding, s string) { o.AssetProgram.ID = s }},
		"assetProgram.externalMerchantId": {1, 35, wide, func(o *onboarding, s string) {
			o.AssetProgram.Params.ExternalMerchantID = s
		}},
		"salesChannels[0].vendor": {3, 100, wide, func(o *onboarding, s string) { o.Channels[0].Params.Vendor = s }},
		"salesChannels[0].reseller": {3, 100, wide, func(o *onboarding, s string) {
			o.Channels[0].Params.Reseller = s
		}},
		"salesChannels[0].deviceId": {1, 35, wide, func(o *onboarding, s string) { o.Channels[0].Params.DeviceID = s }},
		"salesChannels[0].serialNumber": {0, 35, wide, func(o *onboarding, s string) {
			o.Channels[0].Params.SerialNumber = s
		}},
		"salesChannels[0].deviceModel": {3, 100, wide, func(o *onboarding, s string) {
			o.Channels[0].Params.DeviceModel = s
		}},

		"metadata":   {1, 100, wide, func(o *onboarding, s string) { o.Metadata = map[string]string{s: "x"} }},
		"metadata.k": {0, 500, wide, func(o *onboarding, s string) { o.Metadata = map[string]string{"k": s} }},
	}
	onboard := func(change func(*onboarding)) error {
		o := cafe()
		at := *o.Location
		o.Location = &at
		change(&o)
		return second(client.OnboardBusiness(t.Context(), o))
	}
	upload := func(purpose, file string, size int) error {
		return second(client.UploadMedia(t.Context(),
			centrapay.MediaUpload{Purpose: purpose, FileName: file, File: make([]byte, size)}))
	}
	type limit struct {
		at, beyond error
		field      string
	}
	const csv, logo = centrapay.PurposeBusinessOnboarding, centrapay.PurposeBrandingLogo
	limits := map[string]limit{
		"10 entries of metadata": {onboard(func(o *onboarding) { o.Metadata = entries(10) }),
			onboard(func(o *onboarding) { o.Metadata = entries(11) }), "metadata"},
		"a country of 2 letters": {onboard(func(o *onboarding) { o.Location.Country = "AU" }),
			onboard(func(o *onboarding) { o.Location.Country = "AUS" }), "location.country"},
		"a country in capitals": {onboard(func(o *onboarding) { o.Location.Country = "AU" }),
			onboard(func(o *onboarding) { o.Location.Country = "au" }), "location.country"},
		"a GST number": {onboard(func(o *onboarding) { o.TaxNumber.Value = "999-999-999" }),
			onboard(func(o *onboarding) { o.TaxNumber.Value = "999-999-9990" }), "taxNumber.value"},
		"an account that ends in 3 digits": {
			onboard(func(o *onboarding) { o.AssetProgram.Params.SettlementAccountNumber = "12-3456-7890123-000" }),
			onboard(func(o *onboarding) { o.AssetProgram.Params.SettlementAccountNumber = "12-3456-7890123-0000" }),
			"assetProgram.settlementAccountNumber"},
		"an account that ends in 2 digits": {
			onboard(func(o *onboarding) { o.AssetProgram.Params.ChargeAccountNumber = "12-3456-7890123-00" }),
			onboard(func(o *onboarding) { o.AssetProgram.Params.ChargeAccountNumber = "12-3456-7890123-0" }),
			"assetProgram.chargeAccountNumber"},
		"a shop needs no place": {
			onboard(func(o *onboarding) { o.Merchant.Type, o.Merchant.Location = "e-commerce", nil }),
			onboard(func(o *onboarding) { o.Merchant.Type, o.Merchant.Location = "physical", nil }),
			"merchant.location"},
		"50 KB of CSV":         {upload(csv, "a.csv", 50_000), upload(csv, "a.csv", 50_001), "file"},
		"512 KB of a logo":     {upload(logo, "a.png", 512_000), upload(logo, "a.png", 512_001), "file"},
		"a file that is empty": {upload(logo, "a.png", 1), upload(logo, "a.png", 0), "file"},
		"100 characters of a name": {upload(logo, strings.Repeat("x", 96)+".png", 1),
			upload(logo, strings.Repeat("x", 97)+".png", 1), "file"},
	}
	for field, c := range texts {
		set := func(n int) error { return onboard(func(o *onboarding) { c.set(o, c.text(n)) }) }
		limits[fmt.Sprintf("%s to %d", field, c.most)] = limit{set(c.most), set(c.most + 1), field}
		if c.least > 0 && c.least-1 > 0 {
			limits[fmt.Sprintf("%s from %d", field, c.least)] = limit{set(c.least), set(c.least - 1), field}
		}
	}
	for name, c := range limits {
		if e := (*batch.Error)(nil); errors.As(c.at, &e) { // The simulator may not know it, but it was asked.
			require.Empty(t, e.Fields, "%s: %v", name, c.at)
			require.NotZero(t, e.Status, "%s: %v", name, c.at)
		}
		var e *batch.Error
		require.ErrorAs(t, c.beyond, &e, name)
		require.Equal(t, batch.ErrInvalid, e.Kind, name)
		require.Len(t, e.Fields, 1, name)
		require.Equal(t, c.field, e.Fields[0].Field, name)
		require.Zero(t, e.Status, name)
	}
	require.Equal(t, len(limits), server.Log.Count("OnboardBusiness")+server.Log.Count("UploadMedia"),
		"what is at its limit is sent, and nothing else")
}
