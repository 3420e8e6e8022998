"""MoMo, an electronic wallet: create a payment, callback (IPN), query and refund.

Run by M_Service (Công ty Cổ phần Dịch vụ Di Động Trực Tuyến); version 2 of its interface (contracts §7.5).
"""
