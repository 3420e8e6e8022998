"""VNPost's public-administration post (bưu chính công): dossiers collected, results delivered, through NGSP/LGSP.

Run by Vietnam Post; reached through the province's platform or the national one (contracts §8.1).
"""
