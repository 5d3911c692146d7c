package centrapay

import (
	"bytes"
	"encoding/csv"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// guideRows reads a file in the guide's format, by its header.
func guideRows(t *testing.T, file []byte) []GuideRow {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, guideColumns, all[0])
	rows := make([]GuideRow, len(all)-1)
	for n, record := range all[1:] {
		v := reflect.ValueOf(&rows[n]).Elem()
		require.Equal(t, v.NumField(), len(record))
		for i, value := range record {
			v.Field(i).SetString(value)
		}
	}
	return rows
}

// Every field has its column, and the file of the documented form comes out as it
// is, byte for byte.
func TestGuideFile(t *testing.T) {
	want := readFile(t, "business-onboarding-format.csv")
	rows := guideRows(t, want)
	require.Len(t, rows, 2)
	require.Equal(t, "12-3456-7890123-00", rows[0].SettlementAccount)
	require.Equal(t, "W0001", rows[1].DeviceID)
	got, err := EncodeGuide(rows)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	for n := range guideColumns {
		var row GuideRow
		v := reflect.ValueOf(&row).Elem()
		v.Field(n).SetString("x")
		require.Equal(t, "x", row.row()[n])
		field, column := v.Type().Field(n).Name, strings.ReplaceAll(guideColumns[n], "_", "")
		require.True(t, strings.HasPrefix(strings.ToUpper(field), strings.TrimSuffix(column, "ACCT")),
			"%s is in the column %s", field, column)
	}
}

// Each limit of the guide, at the limit and one beyond.
func TestGuideLimits(t *testing.T) {
	shop := guideRows(t, readFile(t, "business-onboarding-format.csv"))
	for name, c := range map[string]struct {
		row    int
		change func(*GuideRow)
		want   string
	}{
		"as it is":               {0, func(*GuideRow) {}, ""},
		"an nzbn of 12":          {0, func(r *GuideRow) { r.NZBN = r.NZBN[1:] }, "NZBN"},
		"an nzbn of 14":          {0, func(r *GuideRow) { r.NZBN += "0" }, "NZBN"},
		"a company of 3":         {0, func(r *GuideRow) { r.CompanyName = "é&b" }, ""},
		"a company of 2":         {0, func(r *GuideRow) { r.CompanyName = "ab" }, "COMPANY_NAME"},
		"a trading name of 3":    {0, func(r *GuideRow) { r.TradingName = "abc" }, ""},
		"a trading name of 2":    {0, func(r *GuideRow) { r.TradingName = "ab" }, "TRADING_NAME"},
		"a tax number of digits": {0, func(r *GuideRow) { r.TaxNumber = "123456789" }, "TAX_NUMBER"},
		"a contact of 2":         {0, func(r *GuideRow) { r.PrimaryContactName = "ab" }, "PRIMARY_CONTACT_NAME"},
		"no mail address":        {0, func(r *GuideRow) { r.PrimaryContactEmail = "" }, "PRIMARY_CONTACT_EMAIL"},
		"a merchant of 2":        {0, func(r *GuideRow) { r.MerchantName = "ab" }, ""},
		"a merchant of 1":        {0, func(r *GuideRow) { r.MerchantName = "a" }, "MERCHANT_NAME"},
		"without the hyphen":     {1, func(r *GuideRow) { r.MerchantType = "ecommerce" }, "MERCHANT_TYPE"},
		"a category of 3":        {0, func(r *GuideRow) { r.MerchantCategoryCode = "549" }, "MERCHANT_CATEGORY_CODE"},
		"a category of 5":        {0, func(r *GuideRow) { r.MerchantCategoryCode = "54990" }, "MERCHANT_CATEGORY_CODE"},
		"a manager of 2":         {0, func(r *GuideRow) { r.MerchantContactName = "ab" }, "MERCHANT_CONTACT_NAME"},
		"a manager without mail": {0, func(r *GuideRow) { r.MerchantEmail = "x" }, "MERCHANT_EMAIL"},
		"a phone of 20":          {0, func(r *GuideRow) { r.MerchantContactNumber = strings.Repeat("1", 20) }, ""},
		"a phone of 21": {0, func(r *GuideRow) { r.MerchantContactNumber = strings.Repeat("1", 21) },
			"MERCHANT_CONTACT_NUMBER"},
		"a shop without street": {0, func(r *GuideRow) { r.MerchantStreetNumberName = "" },
			"MERCHANT_STREET_NUMBER_NAME"},
		"a suburb with a line":   {0, func(r *GuideRow) { r.MerchantSuburb = "a\nb" }, "MERCHANT_SUBURB"},
		"a shop without town":    {0, func(r *GuideRow) { r.MerchantTown = "" }, "MERCHANT_TOWN"},
		"a country of 3":         {0, func(r *GuideRow) { r.MerchantCountry = "NZL" }, "MERCHANT_COUNTRY"},
		"a postcode of 3":        {0, func(r *GuideRow) { r.MerchantPostcode = "101" }, "MERCHANT_POSTCODE"},
		"a postcode of 5":        {0, func(r *GuideRow) { r.MerchantPostcode = "10100" }, "MERCHANT_POSTCODE"},
		"a shop without address": {1, func(r *GuideRow) { r.MerchantRedirectURL = "" }, "MERCHANT_REDIRECT_URL"},
		"an address of no host": {1, func(r *GuideRow) { r.MerchantRedirectURL = "online.example" },
			"MERCHANT_REDIRECT_URL"},
		"no settlement account": {0, func(r *GuideRow) { r.SettlementAccount = "" }, "SETTLEMENT_ACCT"},
		"an end of 3 digits":    {0, func(r *GuideRow) { r.SettlementAccount += "1" }, ""},
		"an end of 4 digits":    {0, func(r *GuideRow) { r.SettlementAccount += "11" }, "SETTLEMENT_ACCT"},
		"a bad charge account":  {0, func(r *GuideRow) { r.ChargeAccount = "1" }, "CHARGE_ACCT"},
		"no charge account":     {0, func(r *GuideRow) { r.ChargeAccount = "" }, ""},
		"no program":            {0, func(r *GuideRow) { r.AssetProgramID = "" }, "ASSET_PROGRAM_ID"},
		"a vendor of 2":         {0, func(r *GuideRow) { r.Vendor = "ab" }, "VENDOR"},
		"no vendor, no device":  {0, func(r *GuideRow) { r.Vendor, r.DeviceID = "", "" }, ""},
		"a reseller of 2":       {0, func(r *GuideRow) { r.Reseller = "ab" }, "RESELLER"},
		"a device of 35":        {0, func(r *GuideRow) { r.DeviceID = strings.Repeat("d", 35) }, ""},
		"a device of 36":        {0, func(r *GuideRow) { r.DeviceID = strings.Repeat("d", 36) }, "DEVICE_ID"},
		"a serial number of 35": {0, func(r *GuideRow) { r.SerialNumber = strings.Repeat("d", 35) }, ""},
		"a serial number of 36": {0, func(r *GuideRow) { r.SerialNumber = strings.Repeat("d", 36) }, "SERIAL_NUMBER"},
		"a model of 2":          {0, func(r *GuideRow) { r.DeviceModel = "ab" }, "DEVICE_MODEL"},
	} {
		row := shop[c.row]
		c.change(&row)
		file, err := EncodeGuide([]GuideRow{row})
		if c.want == "" {
			require.NoError(t, err, name)
			require.Equal(t, []GuideRow{row}, guideRows(t, file), name)
			continue
		}
		var e *batch.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, batch.ErrInvalid, e.Kind, name)
		require.Len(t, e.Fields, 1, name)
		require.Equal(t, c.want, e.Fields[0].Field, name)
		require.Nil(t, file, name)
	}
	_, err := EncodeGuide(nil)
	require.ErrorContains(t, err, "rows: there are none")
	_, err = EncodeGuide([]GuideRow{shop[0], shop[1], shop[0], {}})
	require.ErrorContains(t, err, "item 2: DEVICE_ID: is that of another row; item 3: COMPANY_NAME: ")
	long := shop[0]
	long.DeviceID, long.MerchantSuburb = "", ""
	empty, err := EncodeGuide([]GuideRow{long})
	require.NoError(t, err)
	long.MerchantSuburb = strings.Repeat("s", 50_000-len(empty))
	_, err = EncodeGuide([]GuideRow{long})
	require.NoError(t, err, "as large as may be")
	long.MerchantSuburb += "s"
	_, err = EncodeGuide([]GuideRow{long})
	require.ErrorContains(t, err, "file: must have at most 50000 bytes; it has 50001")
	require.True(t, errors.Is(err, batch.ErrInvalid))
}
