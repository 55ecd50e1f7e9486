// An SSE server made with mcp-go, on 127.0.0.1:$PORT. Its endpoint is a full URL that names localhost,
// and its lines end in LF and CRLF by turns.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	port := os.Getenv("PORT")
	s := server.NewMCPServer("mcp-go", "1.0.0", server.WithToolCapabilities(false))
	s.AddTool(mcp.NewTool("whoami", mcp.WithDescription("Whose token this process has")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(os.Getenv("USER_ACCESS_TOKEN")), nil
		})
	s.AddTool(
		mcp.NewTool("echo",
			mcp.WithDescription("Answers with the text it is given"),
			mcp.WithString("text", mcp.Required())),
		func(_ context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(call.GetString("text", "")), nil
		})
	s.AddTool(
		mcp.NewTool("count",
			mcp.WithDescription("Reports progress for every step"),
			mcp.WithNumber("to", mcp.Required())),
		func(ctx context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			to := call.GetInt("to", 0)
			for step := 1; step <= to; step++ {
				if call.Params.Meta == nil || call.Params.Meta.ProgressToken == nil {
					continue
				}
				report := map[string]any{
					"progressToken": call.Params.Meta.ProgressToken, "progress": step, "total": to,
				}
				if err := s.SendNotificationToClient(ctx, "notifications/progress", report); err != nil {
					return nil, err
				}
				// mcp-go queues notifications and answers apart, and an answer may overtake.
				time.Sleep(20 * time.Millisecond)
			}
			return mcp.NewToolResultText("counted"), nil
		})
	sse := server.NewSSEServer(s, server.WithBaseURL("http://localhost:"+port))
	log.Fatal(sse.Start("127.0.0.1:" + port))
}
