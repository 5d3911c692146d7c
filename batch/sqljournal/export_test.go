package sqljournal

// MigrateWith is Migrate as a later version does it, with more migrations.
var MigrateWith = migrate

// CheckSchema is how Open looks at the tables.
var CheckSchema = checkSchema

// Migrations are those of this version.
func Migrations() [][]string { return migrations }
