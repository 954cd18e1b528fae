module github.com/rufweite/rufweite

go 1.26
