"""Endpoints for programs, and the same as tools of MCP clients."""
