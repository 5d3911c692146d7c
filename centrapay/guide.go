package centrapay

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/url"

	"github.com/batchway/batchway-go/batch"
)

// GuideRow is one terminal or shop in the format of Centrapay's onboarding guide.
// The business and its merchant are repeated on each of their rows. It is not the
// format of a business-onboard batch, which is Business: they share no column.
type GuideRow struct {
	NZBN                     string // 13 digits; optional
	CompanyName              string // at least 3 characters
	TradingName              string // optional: at least 3 characters
	TaxNumber                string // optional: "123-456-789"
	PrimaryContactName       string // at least 3 characters
	PrimaryContactEmail      string
	MerchantName             string // at least 2 characters
	MerchantType             string // physical or e-commerce
	MerchantCategoryCode     string // 4 digits
	MerchantContactName      string // optional: at least 3 characters
	MerchantEmail            string // optional
	MerchantContactNumber    string // optional: at most 20 characters
	MerchantStreetNumberName string // required if MerchantType is physical
	MerchantSuburb           string // optional
	MerchantTown             string // required if MerchantType is physical
	MerchantCountry          string // optional: two capital letters
	MerchantPostcode         string // 4 digits; required if MerchantType is physical
	MerchantRedirectURL      string // required if MerchantType is e-commerce: the main address of the shop
	SettlementAccount        string // "12-1234-1234567-00": the money goes there
	// the same form; documented as required by Payap, and empty in the documented example
	ChargeAccount  string
	AssetProgramID string
	Vendor         string // at least 3 characters; documented as required, and empty in a documented example
	Reseller       string // optional: at least 3 characters
	// at most 35 characters, one for each terminal; documented as required, and empty in an example
	DeviceID     string
	SerialNumber string // optional: at most 35 characters
	DeviceModel  string // optional: at least 3 characters
}

// guideColumns are those of the documented example.
var guideColumns = []string{"NZBN", "COMPANY_NAME", "TRADING_NAME", "TAX_NUMBER", "PRIMARY_CONTACT_NAME",
	"PRIMARY_CONTACT_EMAIL",
	"MERCHANT_NAME", "MERCHANT_TYPE", "MERCHANT_CATEGORY_CODE", "MERCHANT_CONTACT_NAME", "MERCHANT_EMAIL",
	"MERCHANT_CONTACT_NUMBER",
	"MERCHANT_STREET_NUMBER_NAME", "MERCHANT_SUBURB", "MERCHANT_TOWN", "MERCHANT_COUNTRY", "MERCHANT_POSTCODE",
	"MERCHANT_REDIRECT_URL",
	"SETTLEMENT_ACCT", "CHARGE_ACCT", "ASSET_PROGRAM_ID", "VENDOR", "RESELLER", "DEVICE_ID", "SERIAL_NUMBER",
	"DEVICE_MODEL"}

// row holds the fields in the order of guideColumns.
func (r GuideRow) row() []string {
	return []string{r.NZBN, r.CompanyName, r.TradingName, r.TaxNumber, r.PrimaryContactName, r.PrimaryContactEmail,
		r.MerchantName, r.MerchantType, r.MerchantCategoryCode, r.MerchantContactName, r.MerchantEmail,
		r.MerchantContactNumber,
		r.MerchantStreetNumberName, r.MerchantSuburb, r.MerchantTown, r.MerchantCountry, r.MerchantPostcode,
		r.MerchantRedirectURL,
		r.SettlementAccount, r.ChargeAccount, r.AssetProgramID, r.Vendor, r.Reseller, r.DeviceID,
		r.SerialNumber, r.DeviceModel}
}

// EncodeGuide writes a file in the format of Centrapay's onboarding guide. It does
// no I/O. To whom the file goes is not documented: presumably to UploadMedia with
// PurposeBusinessOnboarding, whose limit of 50,000 bytes holds here, too. Never
// name it in a batch.
//
// ErrInvalid names every row and column that breaks a documented rule. Columns that
// the table requires and the documented example leaves empty may be empty.
func EncodeGuide(rows []GuideRow) ([]byte, error) {
	var faults []batch.FieldError
	devices := make(map[string]bool)
	for n, row := range rows {
		of := row.faults()
		if devices[row.DeviceID] {
			of.add("DEVICE_ID", "is that of another row")
		}
		devices[row.DeviceID] = row.DeviceID != ""
		for _, fault := range of {
			if fault.Item = n; len(faults) < maxFaults {
				faults = append(faults, fault)
			}
		}
	}
	if len(rows) == 0 {
		faults = append(faults, batch.FieldError{Item: -1, Field: "rows", Message: "there are none"})
	}
	var file bytes.Buffer // Writes to it do not fail.
	out := csv.NewWriter(&file)
	_ = out.Write(guideColumns)
	for _, row := range rows {
		_ = out.Write(row.row())
	}
	out.Flush()
	if limit := purposes[PurposeBusinessOnboarding].limit; file.Len() > limit {
		faults = append(faults, batch.FieldError{Item: -1, Field: "file",
			Message: fmt.Sprintf("must have at most %d bytes; it has %d", limit, file.Len())})
	}
	if err := batch.Invalid(name, "EncodeGuide", faults); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

func (r GuideRow) faults() onboardFaults {
	var f onboardFaults
	const most = 50_000 // No length is documented: that of the file.
	const account = "must be a bank account such as 12-1234-1234567-00"
	f.match("NZBN", r.NZBN, false, nzbn, "must be 13 digits")
	f.length("COMPANY_NAME", r.CompanyName, true, 3, most)
	f.length("TRADING_NAME", r.TradingName, false, 3, most)
	f.match("TAX_NUMBER", r.TaxNumber, false, gstNumber, "must be a number such as 123-456-789")
	f.length("PRIMARY_CONTACT_NAME", r.PrimaryContactName, true, 3, most)
	f.email("PRIMARY_CONTACT_EMAIL", r.PrimaryContactEmail, true)
	f.length("MERCHANT_NAME", r.MerchantName, true, 2, most)
	physical, online := r.MerchantType == "physical", r.MerchantType == "e-commerce"
	if !physical && !online {
		f.add("MERCHANT_TYPE", "must be physical or e-commerce")
	}
	f.match("MERCHANT_CATEGORY_CODE", r.MerchantCategoryCode, true, fourDigits, "must be 4 digits")
	f.length("MERCHANT_CONTACT_NAME", r.MerchantContactName, false, 3, most)
	f.email("MERCHANT_EMAIL", r.MerchantEmail, false)
	f.length("MERCHANT_CONTACT_NUMBER", r.MerchantContactNumber, false, 1, 20)
	f.length("MERCHANT_STREET_NUMBER_NAME", r.MerchantStreetNumberName, physical, 1, most)
	f.length("MERCHANT_SUBURB", r.MerchantSuburb, false, 1, most)
	f.length("MERCHANT_TOWN", r.MerchantTown, physical, 1, most)
	f.match("MERCHANT_COUNTRY", r.MerchantCountry, false, country, "must be two capital letters")
	f.match("MERCHANT_POSTCODE", r.MerchantPostcode, physical, fourDigits, "must be 4 digits")
	if u, err := url.Parse(r.MerchantRedirectURL); (online || r.MerchantRedirectURL != "") &&
		(err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		f.add("MERCHANT_REDIRECT_URL", "must be the address of the shop, with https:// and a host")
	}
	f.match("SETTLEMENT_ACCT", r.SettlementAccount, true, bankAccount, account)
	f.match("CHARGE_ACCT", r.ChargeAccount, false, bankAccount, account)
	f.length("ASSET_PROGRAM_ID", r.AssetProgramID, true, 1, most)
	f.length("VENDOR", r.Vendor, false, 3, most)
	f.length("RESELLER", r.Reseller, false, 3, most)
	f.length("DEVICE_ID", r.DeviceID, false, 1, 35)
	f.length("SERIAL_NUMBER", r.SerialNumber, false, 1, 35)
	f.length("DEVICE_MODEL", r.DeviceModel, false, 3, most)
	return f
}
