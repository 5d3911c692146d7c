package batchcsv_test

import (
	"fmt"
	"strings"

	"github.com/batchway/batchway-go/batch/batchcsv"
)

func ExampleRead() {
	file := "Invoice;Account;Amount\nINV-1;customer-ada;1.234,50\nINV-2;customer-ben;12,3O\n"
	sheet, err := batchcsv.Read(strings.NewReader(file), &batchcsv.Options{
		Decimal: ',', Currency: "EUR", Rename: map[string]string{"invoice": "reference"},
	})
	fmt.Println(len(sheet.Items), err)

	sheet, err = batchcsv.Read(strings.NewReader(strings.Replace(file, "12,3O", "12,30", 1)), &batchcsv.Options{
		Decimal: ',', Currency: "EUR", Rename: map[string]string{"invoice": "reference"},
	})
	fmt.Println(sheet.Items[0].Reference, sheet.Items[0].Amount, err)
	// Output:
	// 0 line 3, column Amount: "12,3O" is not an amount: a decimal number with at most 2 decimals after a comma would be right
	// INV-1 1234.50 EUR <nil>
}
