// An SSE server made with the official Go SDK, on 127.0.0.1:$PORT. Its endpoint has the path of the
// stream and differs by ?sessionid= alone.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type nothing struct{}

type echoed struct {
	Text string `json:"text"`
}

type counted struct {
	To int `json:"to"`
}

func says(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "go-sdk", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Whose token this process has"},
		func(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
			return says(os.Getenv("USER_ACCESS_TOKEN")), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Answers with the text it is given"},
		func(_ context.Context, _ *mcp.CallToolRequest, in echoed) (*mcp.CallToolResult, any, error) {
			return says(in.Text), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "count", Description: "Reports progress for every step"},
		func(ctx context.Context, call *mcp.CallToolRequest, in counted) (*mcp.CallToolResult, any, error) {
			for step := 1; step <= in.To; step++ {
				if token := call.Params.GetProgressToken(); token != nil {
					report := &mcp.ProgressNotificationParams{
						ProgressToken: token, Progress: float64(step), Total: float64(in.To),
					}
					if err := call.Session.NotifyProgress(ctx, report); err != nil {
						return nil, nil, err
					}
				}
			}
			return says("counted"), nil, nil
		})
	handler := mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, nil)
	http.Handle("/sse", handler)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
