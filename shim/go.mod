module mcp-supervisor/shim

go 1.24
