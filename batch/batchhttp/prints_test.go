package batchhttp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/snapbill"
)

// No print of a client or of a provider shows a credential, and no encoder
// shows that of a Config.
func TestNoClientShowsACredential(t *testing.T) {
	const secret = "canary-credential-77"
	city := citypay.Config{ClientID: "PC1", LicenceKey: secret}
	centra := centrapay.Config{APIKey: secret}
	six := sixdotfifty.Config{Key: secret, Secret: secret + "-2", BaseURL: "https://pay.test"}
	redemptions := sixdotfifty.RedemptionsConfig{Key: secret, Secret: secret + "-2"}
	snap := snapbill.Config{Username: "u", Password: secret, BaseURL: "https://snapbill.test"}
	for _, config := range []any{city, centra, six, redemptions, snap, &city, &centra, &six, &redemptions, &snap,
		sixdotfifty.Token{Token: secret},
		struct{ Config citypay.Config }{city}, map[string]any{"config": centra}, []sixdotfifty.Config{six}} {
		require.NotContains(t, batchhttp.Prints(config), secret, "%T", config)
	}

	cityClient, err := citypay.New(city)
	require.NoError(t, err)
	cityProvider, err := citypay.NewProvider(cityClient, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"})
	require.NoError(t, err)
	centraClient, err := centrapay.New(centra)
	require.NoError(t, err)
	centraProvider, err := centrapay.NewProvider(centraClient, centrapay.ProviderConfig{AccountID: "A",
		Currency: "NZD"})
	require.NoError(t, err)
	sixClient, err := sixdotfifty.New(six)
	require.NoError(t, err)
	sixProvider, err := sixdotfifty.NewProvider(sixClient, sixdotfifty.ProviderConfig{Currency: "ZAR"})
	require.NoError(t, err)
	redemptionsClient, err := sixdotfifty.NewRedemptions(redemptions)
	require.NoError(t, err)
	snapClient, err := snapbill.New(snap)
	require.NoError(t, err)
	snapProvider, err := snapbill.NewProvider(snapClient, snapbill.ProviderConfig{PaymentMethod: "netcash"})
	require.NoError(t, err)
	for _, v := range []any{cityClient, *cityClient, cityProvider, centraClient, centraProvider, sixClient, sixProvider,
		redemptionsClient, snapClient, snapProvider} {
		batchhttp.Leaks(t, v, secret)
	}
}
