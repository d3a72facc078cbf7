module balm

go 1.24
