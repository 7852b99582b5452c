"""Records what ComfyUI makes: from inside (`node`), and for `asset-ledger watch comfyui`."""
