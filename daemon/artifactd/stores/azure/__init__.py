"""Azure Blob Storage, and servers that speak its protocol. The only home of azure-storage-blob."""
