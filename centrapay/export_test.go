package centrapay

import "github.com/batchway/batchway-go/internal/rest"

// Operations is the whole table, for the tests that audit it.
var Operations = []rest.Op{opCreateBatch, opGetBatch, opGetAccount, opGetAsset,
	opOnboardBusiness, opUploadMedia, opListAssets, opMediaLocation, opGetOnboarding}
