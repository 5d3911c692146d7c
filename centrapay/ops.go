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

	// Reads.
	opGetBatch   = rest.Op{Name: "GetBatch", Method: http.MethodGet, Path: "/api/batches/{batchId}", Safety: rest.Repeatable}
	opGetAccount = rest.Op{Name: "GetAccount", Method: http.MethodGet, Path: "/api/accounts/{accountId}", Safety: rest.Repeatable}
	opGetAsset   = rest.Op{Name: "GetAssetByExternalID", Method: http.MethodGet, Path: "/api/assets/{assetType}/external-id/{externalId}", Safety: rest.Repeatable}
)
