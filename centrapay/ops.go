package centrapay

import (
	"net/http"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The operations, and whether one may be sent more than once. To audit what
// can load records twice, read this.
var (
	// Creating a batch starts it: there is no draft, no key that makes a second
	// one harmless, and no way to look for the first. Sent at most once.
	opCreateBatch = batchhttp.Op{Name: "CreateBatch", Method: http.MethodPost, Path: "/api/batches", Safety: batchhttp.Once}

	// Two of these with one external id and the same payload are one (documented).
	opOnboardBusiness = batchhttp.Op{Name: "OnboardBusiness", Method: http.MethodPost, Path: "/api/businesses/onboard", Safety: batchhttp.Once} // decides where money is settled
	opUploadMedia     = batchhttp.Op{Name: "UploadMedia", Method: http.MethodPost, Path: "/api/media-uploads", Safety: batchhttp.Once}

	// Reads.
	opGetBatch      = batchhttp.Op{Name: "GetBatch", Method: http.MethodGet, Path: "/api/batches/{batchId}", Safety: batchhttp.Repeatable}
	opGetAccount    = batchhttp.Op{Name: "GetAccount", Method: http.MethodGet, Path: "/api/accounts/{accountId}", Safety: batchhttp.Repeatable}
	opGetAsset      = batchhttp.Op{Name: "GetAssetByExternalID", Method: http.MethodGet, Path: "/api/assets/{assetType}/external-id/{externalId}", Safety: batchhttp.Repeatable}
	opListAssets    = batchhttp.Op{Name: "ListAssets", Method: http.MethodGet, Path: "/api/accounts/{accountId}/assets", Safety: batchhttp.Repeatable}
	opMediaLocation = batchhttp.Op{Name: "MediaLocation", Method: http.MethodGet, Path: "/api/media-uploads/{mediaUploadId}/location", Safety: batchhttp.Repeatable}
	opGetOnboarding = batchhttp.Op{Name: "GetOnboarding", Method: http.MethodGet, Path: "/api/businesses/onboard/{id}", Safety: batchhttp.Repeatable}
)
