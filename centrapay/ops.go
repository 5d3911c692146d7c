package centrapay

import (
	"net/http"

	"github.com/batchway/batchway-go/internal/rest"
)

// The operations, and whether one may be sent more than once. To audit what
// can load records twice, read this.
var (
	// Creating a batch starts it: there is no draft, no key that makes a second
	// one harmless, and no way to look for the first. Sent at most once.
	opCreateBatch = rest.Op{Name: "CreateBatch", Method: http.MethodPost, Path: "/api/batches", Safety: rest.Once}

	// Two of these with one external id and the same payload are one (documented).
	opOnboardBusiness = rest.Op{Name: "OnboardBusiness", Method: http.MethodPost, Path: "/api/businesses/onboard", Safety: rest.Once} // decides where money is settled
	opUploadMedia     = rest.Op{Name: "UploadMedia", Method: http.MethodPost, Path: "/api/media-uploads", Safety: rest.Once}

	// Reads.
	opGetBatch      = rest.Op{Name: "GetBatch", Method: http.MethodGet, Path: "/api/batches/{batchId}", Safety: rest.Repeatable}
	opGetAccount    = rest.Op{Name: "GetAccount", Method: http.MethodGet, Path: "/api/accounts/{accountId}", Safety: rest.Repeatable}
	opGetAsset      = rest.Op{Name: "GetAssetByExternalID", Method: http.MethodGet, Path: "/api/assets/{assetType}/external-id/{externalId}", Safety: rest.Repeatable}
	opListAssets    = rest.Op{Name: "ListAssets", Method: http.MethodGet, Path: "/api/accounts/{accountId}/assets", Safety: rest.Repeatable}
	opMediaLocation = rest.Op{Name: "MediaLocation", Method: http.MethodGet, Path: "/api/media-uploads/{mediaUploadId}/location", Safety: rest.Repeatable}
	opGetOnboarding = rest.Op{Name: "GetOnboarding", Method: http.MethodGet, Path: "/api/businesses/onboard/{id}", Safety: rest.Repeatable}
)
