package centrapay

import "github.com/batchway/batchway-go/batch/batchhttp"

// Operations is the whole table, for the tests that audit it.
var Operations = []batchhttp.Op{opCreateBatch, opGetBatch, opGetAccount, opGetAsset,
	opOnboardBusiness, opUploadMedia, opListAssets, opMediaLocation, opGetOnboarding}
