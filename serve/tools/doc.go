// Package tools makes the tools of MCP servers available to an agent (compose.Agent).
//
//	t, err := tools.New([]tools.Server{
//		{Name: "files", Command: []string{"/usr/local/bin/mcp-files", "/srv/data"}, Allow: []string{"read_file"}},
//		{Name: "search", URL: "https://mcp.example.org/mcp", Headers: map[string]string{"Authorization": "Bearer ..."}},
//	}, tools.Options{})
//	specs, err := t.List(ctx)            // connects to the servers
//	text, isErr, err := t.Call(ctx, call)
//	t.Close()
//
// A server is a command that speaks MCP over its standard input and output, or a URL that speaks streamable HTTP. A command
// inherits nothing of the environment: it has the variables that [Server].Env gives it, and no others. An HTTP server gets the headers
// that it was given, and redirections are not followed, so that they go nowhere else.
//
// # Names
//
// A tool keeps its name where it can, and where two servers have the same, the server's name comes before it: "files__search".
// Characters that chat APIs do not take in names become "_", and long names are cut. Once a name stands for a tool it does so until
// [Tools.Close], whatever is listed later: a call that was reviewed cannot reach another tool than the one that was looked at.
//
// # When a server fails
//
// A connection that breaks, or on which a call gave no result in time, is used no more: the next call makes a new one, which starts a
// command anew. The call itself fails with an error and is never made again, for nobody knows what it did. Other calls on the old
// connection may finish.
//
// What comes from a server is bounded: how many tools it lists, how large their schemas and messages are, how much is kept of a result.
// What it asks of its client (sampling, roots, elicitation) is refused: nothing of this machine is offered to it.
package tools
