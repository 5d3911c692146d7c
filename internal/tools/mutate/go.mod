module github.com/batchway/batchway-go/internal/tools/mutate

go 1.26.0
